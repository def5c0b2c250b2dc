"""A backend that misbehaves on request: the body's ``x_mode`` names what it does."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from support.loop_thread import LoopThread

ANSWER = {
    "id": "1",
    "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
}
SSE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(document: object = ANSWER, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, extra, len(body)) + body


def failure(status: bytes, message: str, extra: bytes = b"") -> bytes:
    return answer({"error": {"message": message, "code": None}}, status, extra)


@dataclass
class Seen:
    """One request; ``nth`` on its connection, ``gone_at`` when its connection closed early."""

    head: bytes
    body: bytes
    connection: int
    nth: int
    port: int
    at: float = field(default_factory=time.monotonic)
    gone_at: float | None = None

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def mode(self) -> str:
        found = re.search(rb'"x_mode": ?"(\w+)"', self.body)
        return found.group(1).decode() if found else ""

    def header(self, name: bytes) -> bytes | None:
        found = re.search(rb"\r\n" + name + rb": ([^\r]*)", self.head, re.IGNORECASE)
        return found.group(1) if found else None


Behaviour = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Writes an answer; False: the connection is closed then."""


class Upstream(LoopThread):
    """Listens on some ports until ``stop``. ``seen`` are its requests, in order."""

    def __init__(self, count: int = 1, *, unix: str | None = None, tls: Any = None) -> None:
        super().__init__()
        self.seen: list[Seen] = []
        self.modes: dict[str, Behaviour] = dict(MODES)
        self.default: Behaviour = _ok
        self.ports: list[int] = []
        self.connections = 0
        self._unix, self._tls = unix, tls
        self._servers: list[asyncio.AbstractServer] = []
        self.begin(self._listen(count))

    @property
    def port(self) -> int:
        return self.ports[0]

    async def _listen(self, count: int) -> None:
        if self._unix is not None:
            self._servers.append(await asyncio.start_unix_server(self._serve, self._unix))
            return
        for _ in range(count):
            server = await asyncio.start_server(
                self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20
            )
            self._servers.append(server)
            self.ports.append(server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        for server in self._servers:
            self._loop.call_soon_threadsafe(server.close)
        super().stop()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, nth = self.connections, 0
        name = writer.get_extra_info("sockname")
        port = name[1] if isinstance(name, tuple) else 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                nth += 1
                if b"x-mode: slowread" in head.lower():
                    await asyncio.sleep(0.3)
                request = Seen(head, await _body(reader, head), connection, nth, port)
                self.seen.append(request)
                behaviour = self.modes.get(request.mode, self.default)
                if not await behaviour(request, reader, writer):
                    return
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    if found:
        return await reader.readexactly(int(found.group(1)))
    body = b""
    if b"transfer-encoding: chunked" in head.lower():
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    return body


async def _ok(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(answer())
    return True


def sends(data: bytes, stays: bool = True) -> Behaviour:
    """Writes fixed bytes."""

    async def behaviour(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        return stays

    return behaviour


def resets(data: bytes = b"") -> Behaviour:
    """Writes fixed bytes, then resets the connection."""

    async def behaviour(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        return False

    return behaviour


async def _race(
    seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter, fin: bool = False
) -> bool:
    """The keep-alive race: a used connection closes without an answer."""
    if seen.nth == 1:
        writer.write(answer())
        return True
    if not fin:
        writer.transport.abort()
    return False


async def _race_fin(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    return await _race(seen, reader, writer, fin=True)


async def _hang(seen: Seen, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> bool:
    """No answer, until the connection closes."""
    await reader.read(1)
    seen.gone_at = time.monotonic()
    return False


async def _hang_in_stream(
    seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    writer.write(SSE_HEAD + chunk(b"data: x\n\n"))
    return await _hang(seen, reader, writer)


async def _delay(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    await asyncio.sleep(0.3)
    writer.write(answer())
    return True


PIECES = (
    'data: {"content":"héllo"}\n\n'.encode(),
    b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9,'
    b'"prompt_tokens_details":{"cached_tokens":5}}}\n\ndata: [DONE]\n\n',
)


async def _three(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """A stream in pieces of three bytes."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = SSE_HEAD + b"".join(chunk(piece) for piece in PIECES) + LAST
    for start in range(0, len(data), 3):
        writer.write(data[start : start + 3])
        await asyncio.sleep(0.0005)
    return True


BIG_BLOCK = b"x" * 65_536
BIG_BLOCKS = 800


async def _big(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(SSE_HEAD)
    for _ in range(BIG_BLOCKS):
        writer.write(chunk(BIG_BLOCK))
        await writer.drain()
    writer.write(LAST)
    return True


_PART = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n0123456789"
)
_TWO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
MODES: dict[str, Behaviour] = {
    "cut_length": sends(_PART, stays=False),
    "cut_stream": sends(SSE_HEAD + chunk(b"data: 1\n\n"), stays=False),
    "reset_stream": resets(SSE_HEAD + chunk(b"data: 1\n\n")),
    "head_only": sends(SSE_HEAD, stays=False),
    "die": sends(b"", stays=False),
    "race": _race,
    "race_fin": _race_fin,
    "hang": _hang,
    "hang_in_stream": _hang_in_stream,
    "delay": _delay,
    "three": _three,
    "big": _big,
    "excess": sends(answer() + answer({"poison": 1})),
    "two_framings": sends(_TWO + b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad"),
    "interim": sends(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer()),
    "until_close": sends(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + json.dumps(ANSWER).encode(),
        stays=False,
    ),
    "garbage": sends(b"SSH-2.0-x\r\n\r\n"),
    "switching": sends(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"),
    "big_head": sends(b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 300_000 + b"\r\n\r\n"),
    "endless_trailers": sends(SSE_HEAD + b"0\r\n" + b"x-trail: aaaaaaaaaaaaaaa\r\n" * 20_000),
    "no_content": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "chunked_json": sends(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        + chunk(b'{"a":') + chunk(b"1}") + LAST
    ),
    "s429": sends(failure(b"429 Too Many Requests", "slow down", b"retry-after: 7\r\n")),
    "s500": sends(failure(b"500 Internal Server Error", "oops")),
    "context": sends(failure(b"400 Bad Request", "This model's maximum context length is 8192")),
    "safety": sends(failure(b"400 Bad Request", "the content policy refuses this prompt")),
}  # fmt: skip
