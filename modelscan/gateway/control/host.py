"""The control application's unix socket and uvicorn, and the signals that end the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn


class _Uvicorn(uvicorn.Server):
    """Without its own signal handlers: the serving process ends it after the workers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def control_server(app: Any) -> uvicorn.Server:
    """uvicorn for the control application; started with ``serve(sockets)``."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, lifespan="off", proxy_headers=False,
        server_header=False, timeout_graceful_shutdown=2, loop="asyncio",
    )  # fmt: skip
    # A reader of events that takes nothing any more cannot be sent the end of its answer.
    logging.getLogger("uvicorn.error").addFilter(
        lambda line: "without completing response" not in line.getMessage()
    )
    return _Uvicorn(config)


@contextlib.contextmanager
def control_socket() -> Iterator[tuple[Path, socket.socket]]:
    """A listening unix socket in a new folder that only this user can enter."""
    folder = Path(tempfile.mkdtemp(prefix="modelscan-"))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
            control.bind(str(folder / "control.sock"))
            control.listen(128)
            yield folder, control
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop_signals() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    return stopped
