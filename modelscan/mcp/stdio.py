"""``modelscan mcp``: the protocol on this process's standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal

from mcp.server.stdio import stdio_server

from modelscan.mcp.inside import Command, InsideCommands
from modelscan.mcp.server import Assistance


def serve_stdio(command: Command, *, allow_changes: bool, offline: bool) -> None:
    """Serve the client at stdin and stdout until it leaves; logs go to stderr. ``command`` runs a
    command line in this process.
    """
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(command, allow_changes, offline))


async def _serve(command: Command, allow_changes: bool, offline: bool) -> None:
    """SIGTERM ends it like the client's leaving: commands that run are ended first."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    server = Assistance(InsideCommands(command), allow_changes, offline).server()
    with contextlib.suppress(asyncio.CancelledError):
        async with stdio_server() as (reader, writer):
            await server.run(reader, writer, server.create_initialization_options())
