"""A client's connection as exchanges use it: answers, refusals, pace, deadlines."""

from __future__ import annotations

import asyncio
from collections import deque

from modelscan.gateway.data.errors import Cause, RefusedError, dialect_of, refusal_answer
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.parts import Services, Work
from modelscan.gateway.data.receive import begin, send_continue
from modelscan.gateway.data.request import ClientRequest


class AnsweringConnection(asyncio.Protocol):
    """``active`` is the request at work, ``queue`` are pipelined ones, ``request`` the one that is
    being received. ``closing``: what still arrives is dropped."""

    __slots__ = (
        "_paused", "active", "address", "closing", "deadline", "facts", "held", "lost", "queue",
        "request", "transport", "worker", "write_paused",
    )  # fmt: skip

    def __init__(self, worker: Services) -> None:
        self.worker = worker
        self.request: ClientRequest | None = None
        self.active: Work | None = None
        self.queue: deque[ClientRequest] = deque()
        self.facts: HeadFacts | None = None
        self.write_paused = self.closing = self.lost = self._paused = False
        self.held = 0
        self.deadline = 0.0
        self.address = ""
        self.transport: asyncio.Transport

    def refuse_now(
        self, refusal: RefusedError, path: bytes, request: ClientRequest | None = None
    ) -> None:
        """Answer a request that is not accepted, and close."""
        body = request is None or request.method != b"HEAD"
        cors = request.facts.cors if request is not None and hasattr(request, "facts") else b""
        tail = cors + (request.id_line if request else b"") + b"connection: close\r\n"
        self.write(refusal_answer(refusal, dialect_of(path or b"/v1/"), tail, body))
        self.linger()

    def answer_refusal(
        self, request: ClientRequest, refusal: RefusedError, drain: bool = False
    ) -> None:
        """Answer a request that was received; the connection stays if its body is complete."""
        if drain:
            request.keep = False
        tail = request.facts.cors + request.id_line
        if not request.keep:
            tail += b"connection: close\r\n"
        body = request.method != b"HEAD"
        self.write(refusal_answer(refusal, dialect_of(request.path), tail, body))
        self.request_done(request, drain)

    def answer(self, request: ClientRequest, data: bytes) -> None:
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
        self.worker.writes.flush()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        if not self.lost:
            self.worker.writes.add(self.transport, data)

    def break_off(self, old: bool) -> None:
        """A body that is not complete must look so: no last chunk, and a reset where the end of
        the connection would be the end of the body."""
        self.closing = True
        self.active = None
        self.queue.clear()
        self.release_held()
        self.worker.writes.flush()
        if old:
            self.worker.reset_on_close(self.transport)
        self.transport.close()

    def request_done(self, request: ClientRequest, drain: bool = False) -> None:
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
            self.worker.writes.flush()
            self.transport.close()
        elif self.queue:
            self.worker.loop.call_soon(self._next)  # no recursion over long pipelines
        else:
            self._await_request()
            if self.request is not None:
                send_continue(self, self.request)

    def _await_request(self) -> None:
        """Read on; a request that has begun to arrive has the time for a head from now on."""
        timing = self.worker.timing
        if self.active is None:
            partial = self.request is not None
            self.deadline = self.worker.now + (timing.head_s if partial else timing.keep_alive_s)
        if not self.write_paused:
            self.resume_reading()

    def _next(self) -> None:
        if not self.queue or self.active is not None or self.closing or self.write_paused:
            return
        request = self.queue.popleft()
        if request.refusal is not None:
            self.refuse_now(request.refusal, request.path, request)
        else:
            begin(self, request)

    def hold(self, count: int) -> None:
        """Count bytes of a body in memory. Raises RefusedError over the limit."""
        self.held += count
        self.worker.hold(count)

    def release_held(self) -> None:
        """The bodies in memory are not needed any more."""
        self.worker.release(self.held)
        self.held = 0

    def pause_reading(self) -> None:
        """Read no more from the client."""
        if not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on from the client."""
        if self._paused and not self.lost:
            self._paused = False
            self.transport.resume_reading()

    def pause_upload(self) -> None:
        """The backend does not read fast enough."""
        self.pause_reading()

    def resume_upload(self) -> None:
        """The backend reads again."""
        self.resume_reading()

    def pause_writing(self) -> None:
        """The client does not read: take no more requests, and no more of the answer."""
        self.write_paused = True
        if not self.closing:
            self.pause_reading()
        if self.active is not None:
            self.active.pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.write_paused = False
        if self.active is not None:
            self.active.resume()
        elif self.queue:
            self.worker.loop.call_soon(self._next)
        if not self.queue:
            self._await_request()

    def sweep(self, now: float) -> None:
        """Deadlines: of the exchange, or of the client."""
        active = self.active
        if active is not None:
            receiving = self.request is not None and self.request is active.request
            if now > active.deadline:
                active.time_out()
            elif receiving and now > self.deadline and not self._paused:
                text = "the body did not arrive in time"
                active.refuse_upload(RefusedError(Cause.SLOW, text))
            else:
                active.keep_alive(now)
        elif now > self.deadline:
            self._too_late()

    def close_if_idle(self) -> None:
        """Close a connection without a request: the worker ends."""
        if self.active is None and not self.queue and self.request is None and not self.closing:
            self.closing = True
            self.worker.writes.flush()
            self.transport.close()

    def _too_late(self) -> None:
        if self.closing or self.write_paused:
            self.transport.abort()
        elif self.request is not None:
            refusal = RefusedError(Cause.SLOW, "the request did not arrive in time")
            self.refuse_now(refusal, self.request.target, self.request)
        else:
            self.transport.close()


def _size(headers: list[tuple[bytes, bytes]] | deque[tuple[bytes, bytes]], target: bytes) -> int:
    return len(target) + sum(len(name) + len(value) + 4 for name, value in headers)
