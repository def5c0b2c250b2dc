"""The sync HTTP client: carries out the decisions of ``exchange`` through a transport.

Credentials never come from the environment: a request carries a token only when its caller passes
one, and a redirect to another host drops it. Nothing is sent when offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from modelscan.net.errors import HttpError
from modelscan.net.exchange import MAX_BODY_BYTES, Answer, HttpLimits, HttpSettings, request_to
from modelscan.net.runner import SyncRunner
from modelscan.net.transport import Transport

__all__ = ["Answer", "HttpClient", "HttpSettings"]


class HttpClient:
    """HTTP client for threads. Thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self, settings: HttpSettings | None = None, transport: Transport | None = None
    ) -> None:
        self.settings = settings or HttpSettings()
        self._runner = SyncRunner(self.settings, transport)

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._runner.close()

    def cancel(self) -> None:
        """Stop all running requests from another thread; later requests fail at once."""
        self._runner.cancel()

    @property
    def received_bytes(self) -> int:
        """Bytes of response bodies received so far."""
        return self._runner.received_bytes

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int = MAX_BODY_BYTES,
        cached: bool = False,
    ) -> Answer:
        """Send a GET request and follow redirects. ``cached``: revalidate the stored answer.

        Raises OfflineError, UsageError (not an http(s) address) and HttpError for every network or
        server failure, including a status of 400 or more.
        """
        request = request_to(self.settings, "GET", url, params=params, headers=headers)
        limits = self.settings.limits(max_bytes=max_bytes)
        if not cached or self.settings.cache is None:
            return self._runner.answer(request, limits)
        from modelscan.net.conditional import renewed, validators

        cache = self.settings.cache
        stored = cache.load(request.url, private=request.private)
        conditional = request._replace(headers={**request.headers, **validators(stored)})
        answer = self._runner.answer(conditional, limits)
        new = renewed(stored, answer.status, answer.headers, answer.body, answer.retrieved_at)
        cache.store(request.url, new, private=request.private)
        if answer.status == 304:
            answer = answer._replace(status=200, body=new.body, not_modified=True)
        return answer

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limits: HttpLimits | None = None,
    ) -> Answer:
        """Send any request; only idempotent ones are retried. Raises the same errors as ``get``."""
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        return self._runner.answer(request, limits or self.settings.limits())

    def get_range(
        self, url: str, start: int, length: int, *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """Read ``length`` bytes from byte ``start``; fewer at the end of the file.

        Raises HttpError (``no_ranges``) if the server ignores ranges and would send the whole file.
        """
        if length <= 0:
            return b""
        ranged = {**(headers or {}), "Range": f"bytes={start}-{start + length - 1}"}
        ranged["Accept-Encoding"] = "identity"
        request = request_to(self.settings, "GET", url, headers=ranged)
        try:
            return self._runner.answer(
                request, self.settings.limits(max_bytes=length, range_start=start)
            ).body
        except HttpError as error:
            if error.status == 416:
                return b""
            raise

    def stream(
        self, url: str, start: int, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """Yield a file's bytes from byte ``start`` as they arrive; only silence has a time limit.

        Raises HttpError: ``no_ranges`` if the server starts at another byte, ``broken`` if the
        connection failed or was silent. Bytes received before the error have been yielded.
        """
        request_headers = {**(headers or {}), "Accept-Encoding": "identity"}
        if start:
            request_headers["Range"] = f"bytes={start}-"
        request = request_to(self.settings, "GET", url, headers=request_headers)
        try:
            with self._runner.opened(
                request, self.settings.limits(range_start=start or None), None
            ) as response:
                yield from self._runner.parts(response)
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
        within_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Iterator[Iterator[str]]:
        """Yield the lines of a response as they arrive; redirects are not followed.

        Raises HttpError if nothing arrives for ``silence_s`` seconds (default: the settings'
        timeout), after ``within_s`` seconds in total and above ``max_bytes`` (default for both: no
        limit).
        """
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        timeout_s = silence_s or self.settings.timeout_s
        limits = self.settings.limits(timeout_s=timeout_s, max_redirects=0)
        with self._runner.opened(request, limits, within_s) as response:
            yield self._runner.lines(request, response, max_bytes)

    def upload(self, url: str, body: Iterable[bytes], size_bytes: int) -> Answer:
        """POST a body of ``size_bytes`` bytes that is read once; only silence has a time limit."""
        headers = {"Content-Length": str(size_bytes)}
        request = request_to(self.settings, "POST", url, headers=headers, body=body)
        with self._runner.opened(request, self.settings.limits(max_redirects=0), None) as response:
            return self._runner.read(request, response, MAX_BODY_BYTES)
