"""A client's connection: requests in order, each limited before it is accepted."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import httptools

from modelscan.gateway.data.errors import Cause, Refusal, dialect_of, refusal_answer
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.limits import MAX_HEAD
from modelscan.gateway.data.receive import admit, begin, receive_body, receive_end, send_continue
from modelscan.gateway.data.request import Request

if TYPE_CHECKING:
    from modelscan.gateway.data.exchange import Exchange
    from modelscan.gateway.data.worker import Worker

_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)  # trailers are dropped
_UPGRADE = frozenset((b"upgrade", b"connection", b"http2-settings"))


class StopReadingError(Exception):
    """Raised out of the parser's callbacks: nothing more of this connection is read."""


class ClientConnection(asyncio.Protocol):
    """``active`` is the request at work, ``queue`` are pipelined ones, ``request`` the one that is
    being received. ``closing``: what still arrives is dropped."""

    __slots__ = (
        "_framing",
        "_headers",
        "_in_head",
        "_parser",
        "_paused",
        "_upgrading",
        "active",
        "address",
        "closing",
        "deadline",
        "facts",
        "held",
        "lost",
        "queue",
        "request",
        "transport",
        "worker",
        "write_paused",
    )  # fmt: skip

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._parser = httptools.HttpRequestParser(self)
        self.request: Request | None = None
        self.active: Exchange | None = None
        self.queue: deque[Request] = deque()
        self.facts: HeadFacts | None = None
        self._headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]] = []
        self.write_paused = self.closing = self.lost = False
        self._paused = self._upgrading = False
        self._in_head = True
        self._framing = 0
        self.held = 0
        self.deadline = 0.0
        self.address = ""
        self.transport: asyncio.Transport

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.deadline = self.worker.now + self.worker.timing.head_s
        if not self.worker.client_arrived(self):
            refusal = Refusal(Cause.CONNECTIONS, "too many connections", retry_after=1)
            self._refuse_now(refusal, b"")

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self.closing = True
        self.queue.clear()
        self.release_held()
        active, self.active = self.active, None
        if active is not None:
            active.cancel()
        self.worker.client_left(self)

    def eof_received(self) -> None:
        """A client that closes its side no longer waits for an answer, as at nginx."""

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_upgrade(data[offer.args[0] :])
            return
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, StopReadingError):
                raise
            return
        except httptools.HttpParserError as error:
            self._refuse_parsing(Refusal(Cause.MALFORMED, f"not a valid HTTP request ({error})"))
            return
        if self._framing > MAX_HEAD:
            self._check_framing()
        if self.active is not None and not self._paused and self._has_more():
            self.pause_reading()

    def _has_more(self) -> bool:
        """Whether a further request arrives while one is at work."""
        if self.queue or self.active is None:
            return True
        return self.request is not None and self.request is not self.active.request

    def _check_framing(self) -> None:
        """Bytes that are neither an accepted head nor body: an endless head, trailers, extensions
        of chunks."""
        request = self.request
        if request is None:
            return
        if self._in_head:
            self._refuse_parsing(
                Refusal(Cause.HEAD_TOO_LARGE, f"the head exceeds {MAX_HEAD} bytes")
            )
        elif self._framing > MAX_HEAD + 8 * request.received:
            text = "the framing of the body's chunks is too large"
            self._refuse_parsing(Refusal(Cause.HEAD_TOO_LARGE, text))

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Java's client offers HTTP/2 with each request, and httptools then skips the body: the
        same head is parsed again without the offer."""
        request, headers = self.request, self._headers
        self._upgrading = False
        if request is None or self.closing:
            return
        lines = [b"%b: %b\r\n" % header for header in headers if header[0] not in _UPGRADE]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (request.method, request.target, b"".join(lines))
        self._parser = httptools.HttpRequestParser(self)
        self._framing = 0
        self.data_received(head + rest)

    # Parser

    def on_message_begin(self) -> None:
        self.request = Request()
        self._headers = []
        if self.active is None and not self.queue:
            self.deadline = self.worker.now + self.worker.timing.head_s

    def on_url(self, url: bytes) -> None:
        if self.request is not None:
            self.request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        request = self.request
        assert request is not None
        parser = self._parser
        request.method = parser.get_method()
        headers = self._headers
        if parser.should_upgrade() and request.method != b"CONNECT":
            self._upgrading = True
            return
        if self._framing > MAX_HEAD and _size(headers, request.target) > MAX_HEAD:
            self._refuse_parsing(
                Refusal(Cause.HEAD_TOO_LARGE, f"the head exceeds {MAX_HEAD} bytes")
            )
            raise StopReadingError
        version = parser.get_http_version()
        # Ask here: with the end of the message llhttp clears its flags and says no.
        request.keep = version == "1.1" and parser.should_keep_alive()
        request.old = version == "1.0"
        self._headers = _NOWHERE
        self._in_head = False
        self._framing = 0
        try:
            admit(self, request, headers, version)  # type: ignore[arg-type]
        except Refusal as refusal:
            request.refusal = refusal
            request.keep = False
            self._turn_down(request)
            raise StopReadingError from None
        self.deadline = self.worker.now + self.worker.timing.body_s

    def on_body(self, data: bytes) -> None:
        self._framing -= len(data)
        request = self.request
        if request is None:
            return
        self.deadline = self.worker.now + self.worker.timing.body_s
        try:
            receive_body(self, request, data)
        except Refusal as refusal:
            self._refuse_body(request, refusal)
            raise StopReadingError from None

    def on_message_complete(self) -> None:
        request = self.request
        if self._upgrading or request is None:
            return
        self.request = None
        self._in_head = True
        self._framing = 0
        if request.upload is not None:
            try:
                receive_end(self, request)
            except Refusal as refusal:
                self._refuse_body(request, refusal)
                raise StopReadingError from None
        elif self.active is not None or self.queue:
            self.queue.append(request)
        else:
            begin(self, request)

    # Refusals

    def _turn_down(self, request: Request) -> None:
        """Answer a refused head now, or after the requests before it."""
        if self.active is not None or self.queue:
            self.queue.append(request)
            self.request = None
        elif request.refusal is not None:
            self._refuse_now(request.refusal, request.path, request)

    def _refuse_body(self, request: Request, refusal: Refusal) -> None:
        active = self.active
        if active is not None and active.request is request:
            active.refuse_upload(refusal)
        elif active is not None or self.queue:
            request.refusal, request.keep = refusal, False
            self._turn_down(request)
        else:
            self._refuse_now(refusal, request.path, request)

    def _refuse_parsing(self, refusal: Refusal) -> None:
        """What arrives cannot be understood: answer what is at work, then close."""
        request = self.request
        if self.active is not None and request is not None and self.active.request is request:
            self.active.refuse_upload(refusal)
        elif self.active is not None or self.queue:
            refused = Request()
            refused.refusal, refused.keep = refusal, False
            self.queue.append(refused)
            self.request = None
            self.pause_reading()
        else:
            self._refuse_now(refusal, b"/v1/" if request is None else request.target, request)

    def _refuse_now(self, refusal: Refusal, path: bytes, request: Request | None = None) -> None:
        body = request is None or request.method != b"HEAD"
        cors = request.facts.cors if request is not None and hasattr(request, "facts") else b""
        tail = cors + b"connection: close\r\n"
        self.transport.write(refusal_answer(refusal, dialect_of(path or b"/v1/"), tail, body))
        self.linger()

    def answer_refusal(self, request: Request, refusal: Refusal, drain: bool = False) -> None:
        """Answer a request that was received; the connection stays if its body is complete."""
        if drain:
            request.keep = False
        tail = request.facts.cors
        if not request.keep:
            tail += b"connection: close\r\n"
        body = request.method != b"HEAD"
        self.write(refusal_answer(refusal, dialect_of(request.path), tail, body))
        self.request_done(request, drain)

    def answer(self, request: Request, data: bytes) -> None:
        """Write a whole answer of the gateway itself."""
        self.write(data)
        self.request_done(request)

    def linger(self) -> None:
        """Close so that the answer can be read: a close with unread bytes would be a reset that
        discards it. Our side ends, and what still arrives is dropped for a while."""
        self.closing = True
        self.active = self.request = None
        self.queue.clear()
        self.release_held()
        self.deadline = self.worker.now + self.worker.timing.linger_s
        self.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # What exchanges use

    def write(self, data: bytes) -> None:
        if not self.lost:
            self.transport.write(data)

    def break_off(self, old: bool) -> None:
        """A body that is not complete must look so: no last chunk, and a reset where the end of
        the connection would be the end of the body."""
        self.closing = True
        self.active = None
        self.queue.clear()
        self.release_held()
        if old:
            self.worker.reset_on_close(self.transport)
        self.transport.close()

    def request_done(self, request: Request, drain: bool = False) -> None:
        """An answer is complete; ``drain``: its request is not."""
        self.active = None
        if self.held:
            self.release_held()
        if drain:
            self.linger()
        elif self.lost:
            return
        elif not request.keep or self.closing or self.worker.stopping:
            self.closing = True
            self.transport.close()
        elif self.queue:
            self.worker.loop.call_soon(self._next)  # no recursion over long pipelines
        else:
            timing = self.worker.timing
            partial = self.request is not None
            self.deadline = self.worker.now + (timing.head_s if partial else timing.keep_alive_s)
            if self.request is not None:
                send_continue(self, self.request)
            if self._paused and not self.write_paused:
                self.resume_reading()

    def _next(self) -> None:
        if not self.queue or self.active is not None or self.closing or self.write_paused:
            return
        request = self.queue.popleft()
        if request.refusal is not None:
            self._refuse_now(request.refusal, request.path, request)
        else:
            begin(self, request)

    def hold(self, count: int) -> None:
        """Count bytes of a body in memory. Raises Refusal over the limit."""
        self.held += count
        self.worker.hold(count)

    def release_held(self) -> None:
        self.worker.release(self.held)
        self.held = 0

    # Pace

    def pause_reading(self) -> None:
        if not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._paused and not self.lost:
            self._paused = False
            self.transport.resume_reading()

    def pause_upload(self) -> None:
        self.pause_reading()

    def resume_upload(self) -> None:
        self.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read: take no more requests, and no more of the answer."""
        self.write_paused = True
        if not self.closing:
            self.pause_reading()
        if self.active is not None:
            self.active.pause()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.active is not None:
            self.active.resume()
        elif self.queue:
            self.worker.loop.call_soon(self._next)
        if not self.queue:
            self.resume_reading()

    def sweep(self, now: float) -> None:
        """Deadlines: of the exchange, or of the client."""
        active = self.active
        if active is not None:
            receiving = self.request is not None and self.request is active.request
            if now > active.deadline:
                active.time_out()
            elif receiving and now > self.deadline and not self._paused:
                text = "the body did not arrive in time"
                active.refuse_upload(Refusal(Cause.SLOW, text))
            else:
                active.keep_alive(now)
        elif now > self.deadline:
            self._too_late()

    def close_if_idle(self) -> None:
        """Close a connection without a request: the worker ends."""
        if self.active is None and not self.queue and self.request is None and not self.closing:
            self.closing = True
            self.transport.close()

    def _too_late(self) -> None:
        if self.closing or self.write_paused:
            self.transport.abort()
        elif self.request is not None:
            refusal = Refusal(Cause.SLOW, "the request did not arrive in time")
            self._refuse_now(refusal, self.request.target, self.request)
        else:
            self.transport.close()


def _size(headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]], target: bytes) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
