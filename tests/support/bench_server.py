"""A server that streams answers at known times, and notes when it really sent each part.

The last words of a prompt may name what it does: ``mode=cut`` … (see ``_MODES``).
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import Any

from support.gateway_upstream import LAST, SSE_HEAD, answer, chunk, failure
from support.loop_thread import LoopThread


@dataclass
class Sent:
    """One answer: when the request was read, and when each token's part was written."""

    body: dict[str, Any]
    at_ns: int
    tokens_ns: list[int] = field(default_factory=list)


def delta(content: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": content, "finish_reason": finish}
    body = {"id": "1", "model": "lab/stand-in", "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def usage(prompt: int, completion: int, cached: int = 0) -> bytes:
    counts = {
        "prompt_tokens": prompt, "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }  # fmt: skip
    return b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n"


Mode = Callable[["BenchServer", Sent, asyncio.StreamWriter], Awaitable[bool]]


class BenchServer(LoopThread):
    """Listens on a port until ``stop``. ``first_s``, ``gap_s``: the delays that it aims at."""

    def __init__(
        self, *, first_s: float = 0.0, gap_s: float = 0.0, text: str = "word ",
        refused: tuple[str, ...] = (), engine_metrics: str = "", unix: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.first_s, self.gap_s, self.text = first_s, gap_s, text
        self.refused, self.engine_metrics = refused, engine_metrics
        self.key: str | None = None
        self.at_once: int | None = None
        self._slots = asyncio.Semaphore(1)
        self.sent: list[Sent] = []
        self.authorizations: list[bytes | None] = []
        self.most_open = self._open = 0
        self.port = 0
        self._unix, self._tls = unix, tls
        self.begin(self._listen())

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def _listen(self) -> None:
        if self._unix is not None:
            self._server = await asyncio.start_unix_server(self._serve, self._unix, limit=1 << 22)
            return
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=1 << 22, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        super().stop()

    def __enter__(self) -> BenchServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                data = await reader.readexactly(int(length[1]) if length else 0)
                if not await self._answer(head, data, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: bytes, data: bytes, writer: asyncio.StreamWriter) -> bool:
        at_ns = perf_counter_ns()
        path = head.split(b" ", 2)[1]
        if path == b"/metrics":
            body = self.engine_metrics.encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
            return True
        if path == b"/v1/models":
            writer.write(answer({"data": [{"id": "lab/stand-in"}]}))
            return True
        if path != b"/v1/chat/completions":
            writer.write(failure(b"404 Not Found", "no such path"))
            return True
        sent = Sent(json.loads(data), at_ns)
        key = re.search(rb"(?i)\r\nauthorization: ([^\r]*)", head)
        self.authorizations.append(key[1] if key else None)
        self.sent.append(sent)
        if self.key is not None and key is not None and key[1] != f"Bearer {self.key}".encode():
            writer.write(failure(b"401 Unauthorized", "wrong key"))
            return True
        for name in self.refused:
            if name in sent.body:
                writer.write(failure(b"400 Bad Request", f"unknown field {name}"))
                return True
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            if self.at_once is None:
                return await _MODES[_mode(sent.body)](self, sent, writer)
            async with self._slots:
                return await _MODES[_mode(sent.body)](self, sent, writer)
        finally:
            self._open -= 1

    async def tokens(self, sent: Sent, writer: asyncio.StreamWriter, count: int) -> None:
        """So many tokens at their times, each noted when it is written."""
        loop = asyncio.get_running_loop()
        begin = loop.time() + self.first_s
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + number * self.gap_s - loop.time()))
            sent.tokens_ns.append(perf_counter_ns())
            writer.write(chunk(delta({"content": self.text})))
            await writer.drain()


def _mode(body: dict[str, Any]) -> str:
    found = re.search(r"mode=(\w+)", json.dumps(body["messages"]))
    return found[1] if found else "ok"


def _count(body: dict[str, Any]) -> int:
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 16)


def _prompt(body: dict[str, Any]) -> int:
    return sum(len(str(one["content"]).split()) for one in body["messages"])


async def _ok(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    count = _count(sent.body)
    writer.write(SSE_HEAD + chunk(delta({"role": "assistant", "content": ""})))
    await server.tokens(sent, writer, count)
    ending = delta({}, "length") + usage(_prompt(sent.body), count) + b"data: [DONE]\n\n"
    writer.write(chunk(ending) + LAST)
    return True


async def _cut(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(SSE_HEAD)
    await server.tokens(sent, writer, 2)
    return False


async def _empty(_: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(SSE_HEAD + chunk(delta({}, "stop") + b"data: [DONE]\n\n") + LAST)
    return True


async def _hang(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(SSE_HEAD)
    await server.tokens(sent, writer, 1)
    await asyncio.sleep(3600)
    return False


async def _busy(_: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(failure(b"503 Service Unavailable", "no slot"))
    return True


async def _error_event(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(SSE_HEAD)
    await server.tokens(sent, writer, 1)
    event = b'data: {"error": {"message": "out of memory"}}\n\n'
    writer.write(chunk(event + b"data: [DONE]\n\n") + LAST)
    return True


async def _json(_: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(answer())
    return True


async def _garbage(_: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"this is no HTTP\r\n\r\n")
    return False


async def _once(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    """A full answer, after which the connection is closed without a word."""
    await _ok(server, sent, writer)
    return False


async def _old(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    """HTTP/1.0 as Python's own server speaks it: no length, and the end of the connection."""
    writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    writer.write(b": hello\n\n" + delta({"role": "assistant", "content": None}))
    await writer.drain()
    count = _count(sent.body)
    for _ in range(count):
        sent.tokens_ns.append(perf_counter_ns())
        for byte in delta({"content": server.text}):  # byte by byte
            writer.write(bytes((byte,)))
        await writer.drain()
    writer.write(usage(_prompt(sent.body), count) + delta({}, "stop"))
    return False


async def _closing(server: BenchServer, sent: Sent, writer: asyncio.StreamWriter) -> bool:
    """HTTP/1.1 without a length, and connection: close."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n")
    writer.write(b"Connection: close\r\n\r\n" + delta({"content": "x"}, "stop"))
    return False


_MODES: dict[str, Mode] = {
    "ok": _ok, "cut": _cut, "empty": _empty, "hang": _hang, "busy": _busy, "json": _json,
    "error": _error_event, "garbage": _garbage, "once": _once, "old": _old, "closing": _closing,
}  # fmt: skip
