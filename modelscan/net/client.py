"""The sync face of the HTTP client: carries out what ``exchange`` decides, through a transport.

Credentials never come from the environment: a request carries a token only when its caller passes
one, and a redirect to another host loses it. Nothing is sent when offline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from modelscan.net.errors import HttpError
from modelscan.net.exchange import MAX_BODY_BYTES, Answer, HttpSettings, Limits, request_to
from modelscan.net.runner import Runner
from modelscan.net.transport import Transport

__all__ = ["Answer", "HttpClient", "HttpSettings"]


class HttpClient:
    """Thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self, settings: HttpSettings | None = None, transport: Transport | None = None
    ) -> None:
        self.settings = settings or HttpSettings()
        self._runner = Runner(self.settings, transport)

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        self._runner.close()

    def cancel(self) -> None:
        """Stop every request under way, from another thread; later ones fail at once."""
        self._runner.cancel()

    @property
    def received_bytes(self) -> int:
        """Bytes of bodies so far."""
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
        """GET, following redirects. ``cached`` sends the validators of the last answer.

        Raises OfflineError, UsageError (an address that is none) and HttpError for everything a
        server or a network can do wrong, status >= 400 included.
        """
        request = request_to(self.settings, "GET", url, params=params, headers=headers)
        limits = self.settings.limits(max_bytes=max_bytes)
        if not cached or self.settings.cache is None:
            return self._runner.answer(request, limits)
        from modelscan.net.conditional import renewed, validators

        cache = self.settings.cache
        stored = cache.load(request.url, private=request.private)
        asked = request._replace(headers={**request.headers, **validators(stored)})
        answer = self._runner.answer(asked, limits)
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
        limits: Limits | None = None,
    ) -> Answer:
        """Any request; only idempotent ones are repeated. Raises as ``get`` does."""
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        return self._runner.answer(request, limits or self.settings.limits())

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
        """A file's bytes from ``start`` on, as they arrive; only silence is limited in time.

        Raises HttpError: ``no_ranges`` where the server would begin at another place, ``broken``
        for a connection that failed or fell silent; what came before was handed on.
        """
        sent = {**(headers or {}), "Accept-Encoding": "identity"}
        if start:
            sent["Range"] = f"bytes={start}-"
        request = request_to(self.settings, "GET", url, headers=sent)
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
        """The lines of a stream as they come; redirects are not followed.

        HttpError ends it after a silence of ``silence_s`` (default: the settings' timeout), after
        ``within_s`` as a whole and above ``max_bytes`` (default for both: no limit).
        """
        request = request_to(self.settings, method, url, params=params, headers=headers, body=body)
        timeout_s = silence_s or self.settings.timeout_s
        limits = self.settings.limits(timeout_s=timeout_s, max_redirects=0)
        with self._runner.opened(request, limits, within_s) as response:
            yield self._runner.lines(request, response, max_bytes)

    def upload(self, url: str, body: Iterable[bytes], size_bytes: int) -> Answer:
        """POST a body of that size, read once; only silence is limited in time."""
        headers = {"Content-Length": str(size_bytes)}
        request = request_to(self.settings, "POST", url, headers=headers, body=body)
        with self._runner.opened(request, self.settings.limits(max_redirects=0), None) as response:
            return self._runner.read(request, response, MAX_BODY_BYTES)
