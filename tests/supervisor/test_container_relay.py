"""The relay of a container's port: bytes both ways, half closed connections, a port that is taken."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys

from modelscan.supervisor.containers.failures import RUNTIME_CODES, explain
from modelscan.supervisor.containers.relay import serve


def test_bytes_go_both_ways_until_both_sides_end() -> None:
    asked: list[str] = []

    def lookup() -> str | None:
        asked.append("address")
        return None if len(asked) == 1 else "127.0.0.1"

    async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await reader.read()  # until the client has written everything
        writer.write(text.upper() * 1000)
        await writer.drain()
        writer.close()

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello ")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    async def run() -> None:
        inside = await asyncio.start_server(engine, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        relay = asyncio.create_task(serve(listener, inside.sockets[0].getsockname()[1], lookup))
        assert await ask(port) == b"", "the container does not run yet"
        assert await asyncio.gather(ask(port), ask(port)) == [b"HELLO " * 1000] * 2
        await ask(port)
        assert len(asked) <= 3, "its address is looked up once"
        relay.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await relay
        inside.close()

    asyncio.run(run())


def test_a_taken_port_ends_the_client_as_dockers_own_does() -> None:
    code = "import sys; from modelscan.supervisor.containers.relay import start\n"
    code += "start('127.0.0.1', int(sys.argv[1]), lambda: None)"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-c", code, port], capture_output=True, text=True, check=False
        )
    assert done.returncode in RUNTIME_CODES
    failure = explain(done.stderr, "docker", "a/b:c")
    assert failure is not None
    assert failure.port_taken
