"""The sync face of the HTTP client: carries out what ``exchange`` decides, through a transport.

Credentials never come from the environment: a request carries a token only when its caller passes
one, and a redirect to another host loses it. Nothing is sent when offline.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from itertools import count
from typing import Any

from modelscan.net.conditional import renewed, validators
from modelscan.net.deadline import Deadline
from modelscan.net.errors import HttpError, TransportFailure, explain, out_of_time, silent, stopped
from modelscan.net.exchange import (
    MAX_BODY_BYTES,
    Answer,
    Body,
    Follow,
    HttpSettings,
    Limits,
    Lines,
    Read,
    Request,
    answer_of,
    on_head,
    request_to,
    retry_pause_s,
)
from modelscan.net.transport import Response, Transport

__all__ = ["Answer", "HttpClient", "HttpSettings", "utc_now"]


def utc_now() -> str:
    """RFC 3339, UTC, seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class HttpClient:
    """Thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self, settings: HttpSettings | None = None, transport: Transport | None = None
    ) -> None:
        self.settings = settings or HttpSettings()
        self.received_bytes = 0
        self.requests = 0
        self._transport = transport
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._active: set[Deadline] = set()

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        if self._transport is not None:
            self._transport.close()

    def cancel(self) -> None:
        """Stop every request under way, from another thread; later ones fail at once."""
        self._stop.set()
        with self._lock:
            for deadline in self._active:
                deadline.cut()

    def limits(self, **changes: Any) -> Limits:
        """The limits of a request under these settings, with changes."""
        own = Limits(self.settings.timeout_s, pauses_s=self.settings.pauses_s)
        return replace(own, **changes)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        cached: bool = False,
    ) -> Answer:
        """GET, following redirects. ``cached`` sends the validators of the last answer.

        Raises OfflineError, UsageError (an address that is none) and HttpError for everything a
        server or a network can do wrong, status >= 400 included.
        """
        request = request_to(self.settings, "GET", url, params=params, headers=headers)
        limits = self.limits(max_bytes=max_bytes)
        if not cached or self.settings.cache is None:
            return self._with_retries(request, limits)
        cache = self.settings.cache
        stored = cache.load(request.url, private=request.private)
        asked = replace(request, headers={**request.headers, **validators(stored)})
        answer = self._with_retries(asked, limits)
        new = renewed(stored, answer.status, answer.headers, answer.body, answer.retrieved_at)
        cache.store(request.url, new, private=request.private)
        if answer.status == 304:
            answer = replace(answer, status=200, body=new.body, not_modified=True)
        return answer

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: Limits | None = None,
    ) -> Answer:
        """Any request; only idempotent ones are repeated. Raises as ``get`` does."""
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        return self._with_retries(request, limits or self.limits())

    def get_range(
        self, url: str, start: int, length: int, *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """``length`` bytes from ``start``; fewer at the end of the file.

        A server that ignores ranges is refused: its whole file would have to be moved.
        """
        if length <= 0:
            return b""
        ranged = {**(headers or {}), "Range": f"bytes={start}-{start + length - 1}"}
        ranged["Accept-Encoding"] = "identity"
        request = request_to(self.settings, "GET", url, headers=ranged)
        try:
            return self._with_retries(
                request, self.limits(max_bytes=length, range_start=start)
            ).body
        except HttpError as error:
            if error.status == 416:
                return b""
            raise

    def stream(
        self, url: str, start: int, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """A file's bytes from ``start`` on, as they arrive; only silence is limited in time.

        Raises HttpError: ``no_ranges`` where the server would begin at another place, ``broken``
        for a connection that failed or fell silent; what came before was handed on.
        """
        sent = {**(headers or {}), "Accept-Encoding": "identity"}
        if start:
            sent["Range"] = f"bytes={start}-"
        request = request_to(self.settings, "GET", url, headers=sent)
        try:
            with self._opened(request, self.limits(range_start=start or None), None) as response:
                yield from self._parts(response)
        except HttpError as error:
            if error.status != 416 or not start:  # 416: the file ends there
                raise

    @contextmanager
    def lines(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        silence_s: float | None = None,
        max_redirects: int = 0,
    ) -> Iterator[Iterator[str]]:
        """The lines of a stream as they come; a silence of ``silence_s`` ends it with HttpError."""
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        limits = self.limits(
            timeout_s=silence_s or self.settings.timeout_s, max_redirects=max_redirects
        )
        with self._opened(request, limits, None) as response:
            yield self._lines(request, response)

    def upload(self, url: str, body: Iterable[bytes], size_bytes: int) -> Answer:
        """POST a body of that size, read once; only silence is limited in time."""
        headers = {"Content-Length": str(size_bytes)}
        request = request_to(self.settings, "POST", url, headers=headers, body=body)
        with self._opened(request, self.limits(max_redirects=0), None) as response:
            text = b"".join(self._parts(response))
            return answer_of(request, response.status, response.headers, text, utc_now())

    def _lines(self, request: Request, response: Response) -> Iterator[str]:
        lines = Lines(request.shown)
        for part in self._parts(response):
            yield from lines.add(part)
        yield from lines.end()

    def _with_retries(self, request: Request, limits: Limits) -> Answer:
        for attempt in count(1):
            try:
                return self._once(request, limits)
            except HttpError as error:
                error.attempts = attempt
                pause_s = retry_pause_s(request, error, attempt, limits, time.time())
                if pause_s is None or self._stop.wait(pause_s):
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(self, request: Request, limits: Limits) -> Answer:
        with self._opened(request, limits, limits.timeout_s) as response:
            body = self._body(request, response, Read(limits.max_bytes))
            return answer_of(request, response.status, response.headers, body, utc_now())

    @contextmanager
    def _opened(
        self, request: Request, limits: Limits, within_s: float | None
    ) -> Iterator[Response]:
        """The successful response at the end of the redirects; everything else raises HttpError.

        ``within_s`` bounds the whole exchange, ``limits.timeout_s`` each silence.
        """
        with Deadline(within_s) as deadline, self._tracked(deadline):
            try:
                with self._followed(request, limits, deadline) as response:
                    yield response
                if deadline.expired:  # a cut connection may look like the end of the body
                    raise TransportFailure("timeout", "")
            except TransportFailure as failure:
                raise self._explained(request, failure, deadline, limits) from failure

    def _explained(
        self, request: Request, failure: TransportFailure, deadline: Deadline, limits: Limits
    ) -> HttpError:
        if self._stop.is_set():
            return stopped(request.shown)
        if deadline.seconds is None and failure.kind == "timeout":
            return silent(request.shown, limits.timeout_s)
        if deadline.expired or failure.kind == "timeout":
            return out_of_time(request.shown, limits.timeout_s)
        return explain(request.shown, failure)

    @contextmanager
    def _followed(self, request: Request, limits: Limits, deadline: Deadline) -> Iterator[Response]:
        following, transport = request, self._connected()
        for redirects in count():
            with transport.open(following, limits.timeout_s, deadline) as response:
                step = on_head(following, response.status, response.headers, redirects, limits)
                if isinstance(step, Follow):
                    following = step.request
                    continue
                self.requests += 1
                if step.cut:
                    body = self._body(request, response, step)
                    answer_of(request, response.status, response.headers, body, "")
                yield response
                return

    def _body(self, request: Request, response: Response, read: Read) -> bytes:
        body = Body(request.shown, read)
        try:
            for part in self._parts(response):
                if not body.add(part):
                    break
        except TransportFailure:
            if not read.cut:  # of an error's explanation, what has arrived will do
                raise
        return body.joined()

    def _parts(self, response: Response) -> Iterator[bytes]:
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
        """The transport, made on first use."""
        with self._lock:
            if self._transport is None:
                from modelscan.net.httpx_transport import HttpxTransport

                self._transport = HttpxTransport(self.settings.ca_file)
            return self._transport
