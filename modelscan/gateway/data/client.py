"""A client's connection: requests in order, each limited before it is accepted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

import httptools

from modelscan.gateway.data.connection import AnsweringConnection
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.limits import MAX_HEAD
from modelscan.gateway.data.parts import Services
from modelscan.gateway.data.receive import admit, admit_again, begin, receive_body, receive_end
from modelscan.gateway.data.repeated import KnownHead, known_head
from modelscan.gateway.data.request import ClientRequest

_NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)  # trailers are dropped
_UPGRADE = frozenset((b"upgrade", b"connection", b"http2-settings"))


class StopReadingError(Exception):
    """Raised out of the parser's callbacks: nothing more of this connection is read."""


class ClientConnection(AnsweringConnection):
    """The receiving half: bytes to requests, by way of httptools' callbacks."""

    __slots__ = ("_deaf", "_framing", "_headers", "_in_head", "_known", "_parser", "_upgrading")

    def __init__(self, worker: Services) -> None:
        super().__init__(worker)
        self._parser = httptools.HttpRequestParser(self)
        self._headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]] = []
        self._upgrading = False
        self._in_head = True
        self._deaf = False
        self._framing = 0
        self._known: KnownHead | None = None

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.deadline = self.worker.now + self.worker.timing.head_s
        if not self.worker.client_arrived(self):
            refusal = RefusedError(Cause.CONNECTIONS, "too many connections", retry_after=1)
            self.refuse_now(refusal, b"")

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
        if self.closing or self._deaf:
            return
        begins = self._in_head and self.request is None and self.active is None and not self.queue
        if begins and self._known is not None and self._take_repeated(self._known, data):
            return
        facts = self.facts
        self._framing += len(data)
        rest: bytes | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            rest = data[offer.args[0] :]
        except httptools.HttpParserCallbackError:
            if self._is_listening():
                raise
            return
        except httptools.HttpParserError as error:
            self._refuse_parsing(
                RefusedError(Cause.MALFORMED, f"not a valid HTTP request ({error})")
            )
            return
        if rest is not None:
            self._ignore_upgrade(rest)
            return
        if self._framing > MAX_HEAD:
            self._check_framing()
        if self.active is not None:
            if not self._paused and self._has_more():
                self.pause_reading()
            elif begins and self.facts is facts:  # its headers came before: they will come again
                self._known = known_head(self.active.request, data) or self._known

    def _take_repeated(self, known: KnownHead, data: bytes) -> bool:
        """Take a request whose head differs from an accepted one in its length only; False: it is
        another one, for the parser."""
        request = known.request_of(data, self.worker.state)
        if request is None:
            return False
        try:
            admit_again(self, request)
        except RefusedError as refusal:
            request.refusal, request.keep = refusal, False
            self._deaf = True
            self._turn_down(request)
            return True
        self.deadline = self.worker.now + self.worker.timing.body_s
        begin(self, request)
        return True

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
            self._refuse_parsing(_head_too_large())
        elif self._framing > MAX_HEAD + 8 * request.received:
            text = "the framing of the body's chunks is too large"
            self._refuse_parsing(RefusedError(Cause.HEAD_TOO_LARGE, text))

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
        self.request = ClientRequest()
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
            self._refuse_parsing(_head_too_large())
            raise self._stop()
        version = parser.get_http_version()
        # Ask here: with the end of the message llhttp clears its flags and says no.
        request.keep = version == "1.1" and parser.should_keep_alive()
        request.old = version == "1.0"
        self._headers = _NOWHERE
        self._in_head = False
        self._framing = 0
        try:
            admit(self, request, headers, version)
        except RefusedError as refusal:
            request.refusal = refusal
            request.keep = False
            self._turn_down(request)
            raise self._stop() from None
        self.deadline = self.worker.now + self.worker.timing.body_s

    def on_body(self, data: bytes) -> None:
        self._framing -= len(data)
        request = self.request
        if request is None:
            return
        self.deadline = self.worker.now + self.worker.timing.body_s
        try:
            receive_body(self, request, data)
        except RefusedError as refusal:
            self._refuse_body(request, refusal)
            raise self._stop() from None

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
            except RefusedError as refusal:
                self._refuse_body(request, refusal)
                raise self._stop() from None
        elif self.active is not None or self.queue:
            self.queue.append(request)
        else:
            begin(self, request)

    def _is_listening(self) -> bool:
        return not self._deaf

    def _stop(self) -> StopReadingError:
        """What a callback raises so that nothing more of this connection is parsed."""
        self._deaf = True
        return StopReadingError()

    # Refusals

    def _turn_down(self, request: ClientRequest) -> None:
        """Answer a refused head now, or after the requests before it."""
        if self.active is not None or self.queue:
            self.queue.append(request)
            self.request = None
        elif request.refusal is not None:
            self.refuse_now(request.refusal, request.path, request)

    def _refuse_body(self, request: ClientRequest, refusal: RefusedError) -> None:
        active = self.active
        if active is not None and active.request is request:
            active.refuse_upload(refusal)
        elif active is not None or self.queue:
            request.refusal, request.keep = refusal, False
            self._turn_down(request)
        else:
            self.refuse_now(refusal, request.path, request)

    def _refuse_parsing(self, refusal: RefusedError) -> None:
        """What arrives cannot be understood: answer what is at work, then close."""
        request = self.request
        if self.active is not None and request is not None and self.active.request is request:
            self.active.refuse_upload(refusal)
        elif self.active is not None or self.queue:
            refused = ClientRequest()
            refused.refusal, refused.keep = refusal, False
            self.queue.append(refused)
            self.request = None
            self._deaf = True
        else:
            self.refuse_now(refusal, b"/v1/" if request is None else request.target, request)


def _head_too_large() -> RefusedError:
    return RefusedError(Cause.HEAD_TOO_LARGE, f"the head exceeds {MAX_HEAD} bytes")


def _size(headers: Iterable[tuple[bytes, bytes]], target: bytes) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
