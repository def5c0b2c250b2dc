"""Carries out HTTP exchanges for threads: redirects, retries, deadlines, cancelling."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from itertools import count

from modelscan.net.deadline import Deadline
from modelscan.net.errors import (
    HttpError,
    TransportFailure,
    explain,
    out_of_time,
    silent,
    stopped,
)
from modelscan.net.exchange import (
    Answer,
    Body,
    HttpLimits,
    HttpRequest,
    HttpSettings,
    Lines,
    Read,
    answer_of,
    on_head,
    retry_pause_s,
)
from modelscan.net.transport import Response, Transport


def utc_now() -> str:
    """The current time in UTC, RFC 3339, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class SyncRunner:
    """Sends the requests of the sync client. Thread-safe."""

    def __init__(self, settings: HttpSettings, transport: Transport | None) -> None:
        self.received_bytes = 0
        self._ca_file, self._own = settings.ca_file, settings.own
        self._transport = transport
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._active: set[Deadline] = set()

    def close(self) -> None:
        """Release the connections."""
        if self._transport is not None:
            self._transport.close()

    def cancel(self) -> None:
        """Stop all running exchanges; later ones fail at once."""
        self._stop.set()
        with self._lock:
            for deadline in self._active:
                deadline.cut()

    def answer(self, request: HttpRequest, limits: HttpLimits) -> Answer:
        """Send a request, with retries. Raises HttpError."""
        for attempt in count(1):
            try:
                return self._once(request, limits)
            except HttpError as error:
                error.attempts = attempt
                pause_s = retry_pause_s(request, error, attempt, limits, time.time())
                if pause_s is None or self._stop.wait(pause_s):
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(self, request: HttpRequest, limits: HttpLimits) -> Answer:
        with self.opened(request, limits, limits.timeout_s) as response:
            return self.read(request, response, limits.max_bytes)

    def read(self, request: HttpRequest, response: Response, max_bytes: int) -> Answer:
        """The response with its body. Raises HttpError above ``max_bytes``."""
        body = self._body(request, response, Read(max_bytes))
        return answer_of(request, response.status, response.headers, body, utc_now())

    def lines(
        self, request: HttpRequest, response: Response, max_bytes: int | None
    ) -> Iterator[str]:
        """Yield the body's lines as they arrive. Raises HttpError above ``max_bytes`` (None: no
        limit).
        """
        lines = Lines(request.shown, max_bytes)
        for part in self.parts(response):
            yield from lines.add(part)
        yield from lines.end()

    @contextmanager
    def opened(
        self, request: HttpRequest, limits: HttpLimits, within_s: float | None
    ) -> Iterator[Response]:
        """Yield the successful response at the end of the redirects. Raises HttpError otherwise.

        ``within_s`` limits the whole exchange, ``limits.timeout_s`` each wait for data, in seconds.
        """
        with Deadline(within_s) as deadline, self._tracked(deadline):
            try:
                with self._followed(request, limits, deadline) as response:
                    yield response
                if deadline.expired:  # a closed connection can look like the end of the body
                    raise TransportFailure("timeout", "")
            except TransportFailure as failure:
                raise self._explained(request, failure, deadline, limits) from failure

    def _explained(
        self,
        request: HttpRequest,
        failure: TransportFailure,
        deadline: Deadline,
        limits: HttpLimits,
    ) -> HttpError:
        if self._stop.is_set():
            return stopped(request.shown)
        if deadline.seconds is None and failure.kind == "timeout":
            return silent(request.shown, limits.timeout_s)
        if deadline.expired or failure.kind == "timeout":
            return out_of_time(request.shown, deadline.seconds or limits.timeout_s)
        return explain(request.shown, failure)

    @contextmanager
    def _followed(
        self, request: HttpRequest, limits: HttpLimits, deadline: Deadline
    ) -> Iterator[Response]:
        following, transport = request, self._connected()
        for redirects in count():
            with transport.open(following, limits.timeout_s, deadline) as response:
                step = on_head(following, response.status, response.headers, redirects, limits)
                if isinstance(step, HttpRequest):
                    following = step
                    continue
                if step.cut:
                    body = self._body(request, response, step)
                    answer_of(request, response.status, response.headers, body, "")
                yield response
                return

    def _body(self, request: HttpRequest, response: Response, read: Read) -> bytes:
        body = Body(request.shown, read)
        try:
            for part in self.parts(response):
                if not body.add(part):
                    break
        except TransportFailure:
            if not read.cut:  # a partial error text is good enough
                raise
        return body.joined()

    def parts(self, response: Response) -> Iterator[bytes]:
        """Yield the body as it arrives and count its bytes."""
        for part in response.parts():
            self.received_bytes += len(part)
            yield part

    @contextmanager
    def _tracked(self, deadline: Deadline) -> Iterator[None]:
        with self._lock:
            self._active.add(deadline)
        if self._stop.is_set():
            deadline.cut()
        try:
            yield
        finally:
            with self._lock:
                self._active.discard(deadline)

    def _connected(self) -> Transport:
        """The transport, created on first use."""
        with self._lock:
            if self._transport is None:
                from modelscan.net.httpx_transport import HttpxTransport

                self._transport = HttpxTransport(self._ca_file, self._own)
            return self._transport
