"""A worker process of the data path: started, given its snapshots, restarted when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from modelscan.gateway.data.options import WorkerOptions
from modelscan.gateway.snapshot import FromWorker

_HEADER = struct.Struct(">I")
_MAX_MESSAGE = 64 * 1024 * 1024
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_HEALTHY_S = 30.0  # a worker that lived so long starts again without a pause
_decoder = msgspec.msgpack.Decoder(FromWorker)


@dataclass(slots=True)
class WorkerProcess:
    """One worker; ``run`` keeps it alive until ``stop``."""

    index: int
    listeners: Sequence[socket.socket]
    options: WorkerOptions
    on_message: Callable[[int, FromWorker], None]
    on_end: Callable[[int, int], None]
    snapshot: bytes = b""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    _writer: asyncio.StreamWriter | None = None
    _stopping: bool = False

    async def run(self) -> None:
        """Start the process, read its messages, and start it again whenever it ends."""
        pause = _FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            self.ready.clear()
            code = await self._live()
            self.ready.clear()
            if self._stopping:
                return
            self.restarts += 1
            self.on_end(self.index, code)
            pause = _FIRST_PAUSE_S if loop.time() - started > _HEALTHY_S else pause
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    async def _live(self) -> int:
        """One life of the process; returns its exit status."""
        mine, others = socket.socketpair()
        with others:
            process = await self._start(others)
        self.process = process
        reader, self._writer = await asyncio.open_connection(sock=mine)
        try:
            self.send(self.snapshot)
            await self._read(reader)
            return await process.wait()
        finally:
            self._writer.close()
            self._writer = None
            self.process = None

    async def _start(self, channel: socket.socket) -> asyncio.subprocess.Process:
        options = replace(
            self.options,
            worker=self.index,
            listen=tuple(one.fileno() for one in self.listeners),
            channel=channel.fileno(),
        )
        # A session of its own: Ctrl-C in the terminal reaches the serving process only.
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "modelscan.gateway.data", *options.arguments(),
            pass_fds=options.descriptors(), stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True, env=_environment(),
        )  # fmt: skip

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Messages until the worker closes its end; one that sends anything else is ended."""
        try:
            while True:
                (size,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if size > _MAX_MESSAGE:
                    raise msgspec.DecodeError(f"a message of {size} bytes")
                message = _decoder.decode(await reader.readexactly(size))
                if message.ready:
                    self.ready.set()
                self.on_message(self.index, message)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except msgspec.DecodeError:
            self._signal(signal.SIGKILL)

    def send(self, snapshot: bytes) -> None:
        """Give the worker a snapshot (msgpack); it gets the last one after a restart, too."""
        self.snapshot = snapshot
        if self._stopping:  # a write to a closed socket would discard the last receipts in it
            return
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(_HEADER.pack(len(snapshot)) + snapshot)

    def stop(self) -> None:
        """Ask the process to finish its requests and end."""
        self._stopping = True
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._stopping = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


def _environment() -> dict[str, str]:
    """What a worker needs of the environment: not the keys of providers, which it is sent."""
    names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1"}


def frame(snapshot: object) -> bytes:
    """A snapshot as msgpack, without the length."""
    return msgspec.msgpack.encode(snapshot)


async def all_ready(workers: Sequence[WorkerProcess], timeout_s: float) -> bool:
    """Whether every worker accepts connections within the time."""
    waiting = [asyncio.ensure_future(worker.ready.wait()) for worker in workers]
    done, pending = await asyncio.wait(waiting, timeout=timeout_s)
    for one in pending:
        one.cancel()
    return len(done) == len(waiting)
