"""A connection to a backend: one request at a time, the answer parsed as it arrives."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Protocol

import httptools

from modelscan.core.request_id import HEADER
from modelscan.gateway.data.limits import MAX_ANSWER_HEAD, SMALL_BODY
from modelscan.gateway.data.writes import Writes

HOP_HEADERS = frozenset(
    (
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te",
        b"trailer", b"transfer-encoding", b"upgrade", b"content-length", b"proxy-connection",
    )
)  # fmt: skip


# What is done with a header of an answer: it passes on, is read too, is for this connection only,
# or is dropped. Numbers, since members of an Enum cost more to look up than all the rest.
_PLAIN, _READ, _FRAMING, _DROPPED = range(4)
# By the name as it was sent: backends use few names, and each of their answers repeats them.
_KINDS: dict[bytes, tuple[bytes, int]] = {}
_MOST_KINDS = 512


def _kind(name: bytes) -> tuple[bytes, int]:
    """A header's name in lower case, and what is done with it."""
    lowered, kind = name.lower(), _PLAIN
    if lowered in HOP_HEADERS:
        kind = _FRAMING
    elif lowered in (b"content-type", b"retry-after"):
        kind = _READ
    elif lowered.startswith(b"access-control-"):  # the gateway decides which pages may read it
        kind = _DROPPED
    elif lowered == HEADER:  # the client gets the gateway's, and can still name the backend's
        lowered = b"x-upstream-request-id"
    if len(_KINDS) < _MOST_KINDS:
        _KINDS[name] = lowered, kind
    return lowered, kind


class SendFailure(Enum):
    """How far a request came. STALE: a reused connection that closed before a byte of an answer."""

    NOT_SENT = auto()
    STALE = auto()
    BROKEN = auto()
    SLOW = auto()


class PacedBody(Protocol):
    """A request's body that is still being sent."""

    def pause(self, paused: bool) -> None:
        """The backend does not read fast enough, or reads again."""


class Home(Protocol):
    """Where a connection belongs."""

    writes: Writes

    def put(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""

    def forget(self, upstream: Upstream) -> None:
        """A connection closed while it was idle."""


class Sink(Protocol):
    """What receives an answer. ``data`` may be empty."""

    @property
    def upload(self) -> PacedBody | None:
        """The body, if it is streamed."""

    def connected(self, upstream: Upstream | None) -> bool:
        """The connection to use (None: not yet); False: the request was cancelled."""

    def answer_begins(self, upstream: Upstream) -> bool:
        """The head is complete; False: the answer is not used, and nothing more of it comes."""

    def answer_continues(self, data: bytes) -> None:
        """More of the body."""

    def answer_ends(self, data: bytes) -> None:
        """The rest of the body."""

    def failed(self, reason: str, failure: SendFailure) -> None:
        """The connection broke, or could not be opened."""

    def start_upload(self) -> None:
        """The head is sent, the body may follow."""


class BadAnswerError(Exception):
    """A backend answered something that HTTP/1.1 does not allow here."""


class Upstream(asyncio.Protocol):
    """One connection. Its callbacks only collect; ``data_received`` hands on once per read."""

    __slots__ = (
        "_begun", "_complete", "_dropped", "_excess", "_framing", "_head_done", "_interim",
        "_parser", "_parts", "_pool", "_seen", "_valid", "chunked", "closed", "content_type",
        "headers", "idle_since", "keep", "length", "on_body", "retry_after", "reused", "sink",
        "status", "transport", "uploading",
    )  # fmt: skip

    def __init__(self, pool: Home) -> None:
        self._pool = pool
        self._parts: list[bytes] = []
        self.on_body = self._parts.append
        self.sink: Sink | None = None
        self.closed = self.reused = False
        self.idle_since = 0.0
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)

    # Sending

    def send(self, sink: Sink, head: bytes, body: bytes) -> None:
        """Send a request; its answer goes to the sink."""
        self.sink = sink
        self._seen = self._complete = self._head_done = self._begun = False
        self._excess = self._interim = self.chunked = False
        self.keep, self.uploading = True, False
        self.status, self.length, self._framing = 0, -1, 0
        self.headers: list[bytes] = []
        self.content_type, self.retry_after = b"", b""
        self._dropped: frozenset[bytes] = frozenset()
        if sink.upload is not None:
            self.transport.write(head)
            sink.start_upload()
        elif len(body) < SMALL_BODY:
            self._pool.writes.add(self.transport, head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def abort(self) -> None:
        """Close at once; the sink hears nothing more."""
        self.sink = None
        if not self.closed:
            self.transport.abort()

    # Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self.transport = transport  # type: ignore[assignment]

    def pause_writing(self) -> None:
        """The backend does not read fast enough."""
        if self.sink is not None and self.sink.upload is not None:
            self.sink.upload.pause(True)

    def resume_writing(self) -> None:
        """The backend reads again."""
        if self.sink is not None and self.sink.upload is not None:
            self.sink.upload.pause(False)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and hand on once."""
        if self.sink is None:  # bytes without a request: the connection cannot be trusted
            self.transport.abort()
            return
        self._seen = True
        self._framing += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"not a valid HTTP answer ({error})")
            return
        body = self._taken()
        if self._framing > MAX_ANSWER_HEAD:
            self._fail("the answer's head or chunk framing is too large")
        elif self._head_done:
            self._hand_on(body)

    def _taken(self) -> bytes:
        """The body's bytes of this read; those of an unrequested second answer are dropped."""
        parts = self._parts
        if self._excess:
            del parts[self._valid :]
        if not parts:
            return b""
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._framing = self._framing - len(body) if self._framing > len(body) else 0
        return body

    def _hand_on(self, body: bytes) -> None:
        sink = self.sink
        if sink is None:
            return
        if not self._begun:
            self._begun = True
            self._framing = 0
            if not sink.answer_begins(self):
                return
        if self._complete:
            self.release(reusable=not self._excess)
            sink.answer_ends(body)
        elif body:
            sink.answer_continues(body)

    def release(self, reusable: bool) -> None:
        """The answer is complete: back to the pool, or close if the request was not sent whole."""
        self.sink = None
        usable = reusable and self.keep and not self.uploading
        if usable and not self.transport.is_closing():
            self._pool.put(self)
        else:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed."""
        self.closed = True
        sink = self.sink
        if sink is None:
            self._pool.forget(self)
        elif self._begun and self.length < 0 and not self.chunked and error is None:
            self.sink = None  # the end of the connection is the end of the answer
            sink.answer_ends(b"")
        else:
            self._fail(f"connection closed ({error})" if error else "connection closed")

    def _fail(self, reason: str) -> None:
        sink, self.sink = self.sink, None
        if not self.closed:
            self.transport.abort()
        if sink is not None:
            stale = self.reused and not self._seen
            sink.failed(reason, SendFailure.STALE if stale else SendFailure.BROKEN)

    # Parser

    def on_message_begin(self) -> None:
        """llhttp: an answer begins."""
        if self._complete:
            self._excess = True
            self._valid = len(self._parts)

    def on_header(self, name: bytes, value: bytes) -> None:
        """llhttp: a header line."""
        if self._head_done:  # trailers, and heads of a second answer
            return
        lowered, kind = _KINDS.get(name) or _kind(name)
        if kind == _PLAIN:
            self.headers.append(b"%b: %b\r\n" % (lowered, value))
        elif kind == _FRAMING:
            self._framing_header(lowered, value)
        elif kind == _READ:
            self.headers.append(b"%b: %b\r\n" % (lowered, value))
            if lowered == b"content-type":
                self.content_type = value
            else:
                self.retry_after = value

    def _framing_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.chunked = True
        elif name == b"connection" and len(value) > 10:  # more than keep-alive
            named = (token.strip().lower() for token in value.split(b","))
            self._dropped = frozenset(named) - HOP_HEADERS

    def on_headers_complete(self) -> None:
        """llhttp: the head is complete."""
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:
                raise BadAnswerError(f"status {status}")
            self._interim = True
            self.headers = []
            return
        if status > 599:
            raise BadAnswerError(f"status {status}")
        self.status = status
        self._head_done = True
        # Ask here: with the end of the message llhttp clears its flags and says no.
        self.keep = self._parser.should_keep_alive()
        if status in (204, 304):
            self.length, self.chunked = 0, False
        if self._dropped:
            self.headers = [h for h in self.headers if h.split(b":", 1)[0] not in self._dropped]

    def on_message_complete(self) -> None:
        """llhttp: the answer is complete."""
        if self._interim:
            self._interim = False
        elif not self._complete:
            self._complete = True
            self._valid = len(self._parts)
