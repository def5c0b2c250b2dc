"""The published port of a container on an internal network of docker.

docker publishes no port of a network without a way out, but this machine reaches the container's
address on it. A process that ends with docker's client listens in its place and copies bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

from modelscan.supervisor.processes import die_with_parent

_BLOCK_BYTES = 1 << 16
_BUSY_CODE = 125  # as docker's client ends where a port is taken

Lookup = Callable[[], str | None]
"""The container's address on the internal network; None while it does not run."""


def start(host: str, port: int, lookup: Lookup) -> None:
    """Fork the relay; it ends with this process, also after an exec. Ends this process with 125
    where the port is taken.
    """
    try:
        listener = socket.create_server((host, port), backlog=128)
    except OSError as error:
        os.write(2, f"listen tcp {host}:{port}: bind: {error.strerror}\n".lower().encode())
        os._exit(_BUSY_CODE)
    parent = os.getpid()
    if os.fork():
        listener.close()
        return
    try:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # requests are finished while it stops
        die_with_parent(parent)
        asyncio.run(serve(listener, port, lookup))
    finally:
        os._exit(1)


async def serve(listener: socket.socket, port: int, lookup: Lookup) -> None:
    """Copy between every connection to ``listener`` and this port of the container."""
    known: list[str] = []  # a container keeps its address

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if not known and (address := await asyncio.to_thread(lookup)) is not None:
                known.append(address)
            if known:
                await _relay(reader, writer, known[0], port)
        writer.close()

    server = await asyncio.start_server(connected, sock=listener, limit=_BLOCK_BYTES)
    await server.serve_forever()


async def _relay(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str, port: int
) -> None:
    inside, outside = await asyncio.open_connection(address, port)
    try:
        await asyncio.gather(_copy(reader, outside), _copy(inside, writer))
    finally:
        outside.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until one side ends; the other side then reads the end, too."""
    while data := await source.read(_BLOCK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
