"""One connection of the load generator: an answer's parts with their arrival times.

A load generator must not measure itself, so that this is a bare protocol on llhttp (httptools): a
stream's part costs a few microseconds, where httpx and its layers need more than a hundred.
Nothing is parsed while requests run. Imported on first use.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from modelscan import __version__
from modelscan.bench.stream import Arrival, ErrorClass

MOST_BYTES = 256 << 20  # of one answer
_OK = 200
_CONNECT_S = 10.0
_SHOWN = 500  # bytes of an error's text
_END = b"\r\n\r\n"  # of a body in chunks, with or without trailers


class Server(NamedTuple):
    """Where requests go; ``key``: the secret itself, only in memory."""

    url: str
    key: str | None = None
    tls: ssl.SSLContext | None = None
    socket_path: str | None = None


@dataclass(slots=True)
class RawAnswer:
    """An answer as it arrived; ``error`` None: its body is complete."""

    t0_ns: int
    status: int | None = None
    content_type: bytes = b""
    parts: list[Arrival] = field(default_factory=list)
    end_ns: int = 0
    error: ErrorClass | None = None
    reason: str | None = None
    reused: bool = False


class StreamConnection(asyncio.Protocol):
    """An open connection; one request at a time. Callbacks only note what came and when.

    The body of an answer in chunks is not even parsed until it may be complete: its last bytes are
    an empty line, which no event's chunk ends with.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._head = _head(server)
        self.closed = False
        self.used = 0
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._answer: RawAnswer | None = None
        self._done: asyncio.Future[None] | None = None
        self._now = 0
        self._bytes = 0
        self._chunked = False
        self._unread: list[tuple[int, bytes]] = []

    @classmethod
    async def open(cls, server: Server) -> StreamConnection:
        """Connect. Raises OSError or TimeoutError."""
        loop = asyncio.get_running_loop()
        if server.socket_path is not None:
            opening = loop.create_unix_connection(lambda: cls(server), server.socket_path)
            return (await asyncio.wait_for(opening, _CONNECT_S))[1]
        parts = urlsplit(server.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        tcp = loop.create_connection(
            lambda: cls(server), parts.hostname or "", port, ssl=server.tls
        )
        return (await asyncio.wait_for(tcp, _CONNECT_S))[1]

    async def send(self, body: bytes, timeout_s: float) -> RawAnswer:
        """Send a request and wait for the whole answer; failures are in the answer."""
        self._done = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._bytes, self._chunked = 0, False
        self._unread.clear()
        data = b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body)
        self._answer = answer = RawAnswer(perf_counter_ns(), reused=self.used > 0)
        self.used += 1
        self._transport.write(data)
        try:
            await asyncio.wait_for(self._done, timeout_s)
        except asyncio.TimeoutError:
            self._fail("timeout", f"no complete answer within {timeout_s:g} s")
        except asyncio.CancelledError:
            self.close()
            raise
        self._answer = None
        if answer.error is not None:
            self.close()
        return answer

    def close(self) -> None:
        """Close at once."""
        self.closed = True
        self._transport.abort()

    # The transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Note the time; where the answer may end here, let the parser find its parts."""
        self._unread.append((perf_counter_ns(), data))
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self._fail("broken", f"the answer has more than {MOST_BYTES:,} bytes")
        elif not self._chunked or len(data) < len(_END) or data.endswith(_END):
            self._parse()

    def _parse(self) -> None:
        unread, self._unread = self._unread, []
        try:
            for self._now, data in unread:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail("broken", f"not a valid HTTP answer ({error})")

    def connection_lost(self, error: Exception | None) -> None:
        """The server closed the connection, or it broke."""
        self.closed = True
        self._parse()
        answer = self._answer
        if answer is None or answer.end_ns:
            return
        framed = self._framed
        if answer.status is not None and not framed and error is None:
            self._end(perf_counter_ns())  # HTTP/1.0: the connection's end is the body's
        else:
            self._fail("broken", f"the connection ended in the answer{_because(error)}")

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """A head begins."""
        self._framed = self._is_encoded = self._chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header: how the body ends, its type."""
        name = name.lower()
        if name in (b"transfer-encoding", b"content-length"):
            self._framed = True
            self._chunked = value.lower() == b"chunked"
        elif name == b"content-type" and self._answer is not None:
            self._answer.content_type = value.lower()
        elif name == b"content-encoding" and value.lower() != b"identity":
            self._is_encoded = True

    def on_headers_complete(self) -> None:
        """The status is known; 1xx answers are followed by the real one."""
        status = self._parser.get_status_code()
        if self._answer is not None and status >= _OK:
            self._answer.status = status

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        if self._answer is not None:
            self._answer.parts.append(Arrival(self._now, data))

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if self._answer is None or self._answer.status is None:
            return
        if not self._parser.should_keep_alive():
            self.closed = True
        self._end(self._now)

    _framed = _is_encoded = False

    def _end(self, at_ns: int) -> None:
        answer = self._answer
        if answer is None or answer.end_ns:
            return
        answer.end_ns = at_ns
        if answer.status != _OK:
            text = b"".join(part.data for part in answer.parts)[:_SHOWN]
            answer.error = "status"
            answer.reason = f"HTTP {answer.status}: {text.decode('utf-8', 'replace')}"
        elif self._is_encoded:
            answer.error, answer.reason = "broken", "the stream is compressed"
        elif not _is_stream(answer):
            kind = answer.content_type.decode("latin-1") or "no type"
            answer.error, answer.reason = "broken", f"the answer is no event stream but {kind}"
        self._wake()

    def _fail(self, error: ErrorClass, reason: str) -> None:
        answer = self._answer
        if answer is not None and not answer.end_ns:
            answer.end_ns = perf_counter_ns()
            answer.error, answer.reason = error, reason
        self._wake()

    def _wake(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


def _head(server: Server) -> bytes:
    parts = urlsplit(server.url)
    host = parts.netloc.rpartition("@")[2]
    lines = [
        f"POST {parts.path or '/'} HTTP/1.1",
        f"Host: {host}",
        f"User-Agent: modelscan/{__version__}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        *([f"Authorization: Bearer {server.key}"] if server.key else []),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


def _is_stream(answer: RawAnswer) -> bool:
    """Whether it is an event stream, by its type or, where the type is another, by its lines."""
    if answer.content_type.startswith(b"text/event-stream"):
        return True
    begin = b"".join(part.data for part in answer.parts[:3]).lstrip()
    return begin.startswith((b"data:", b"event:", b":"))


def _because(error: Exception | None) -> str:
    return f" ({error})" if error is not None and str(error) else ""
