"""The one HTTP client: bounded in time, bytes, redirects and retries; silent when offline.

Proxies come from the environment (HTTPS_PROXY, NO_PROXY …), credentials never do: a request carries
a token only when its caller passes one, and a redirect to another host loses it.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import OfflineError, UsageError
from modelscan.core.units import MIB, format_bytes
from modelscan.net.cache import AnswerCache, Kept
from modelscan.net.deadline import Deadline, wait_asked_s
from modelscan.net.errors import (
    HttpError,
    explain,
    host_of,
    out_of_time,
    public,
    status_error,
    too_large,
)
from modelscan.net.wire import new_client, phases, refuse_downgrade

if TYPE_CHECKING:
    import httpx

    from modelscan.state.config import Config

MAX_BODY_BYTES = 64 * MIB  # the largest catalogue known is 6 MiB
MAX_REDIRECTS = 5
MAX_WAIT_S = 8.0  # a server that asks for more is named instead of waited for
MAX_TIMEOUT_S = 86_400.0
BACKOFF_S = (0.3, 1.0)  # before the second and third attempt
_RETRIED = frozenset({429, 500, 502, 503, 504})
_ERROR_BODY_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer. Header names are lower case; ``not_modified``: served by our cache."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    retrieved_at: str
    not_modified: bool = False

    def json(self) -> Any:
        """The body as JSON; raises HttpError when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise HttpError(
                f"{public(self.url)} answered with something that is not JSON "
                f"({format_bytes(len(self.body))})",
                url=self.url, status=self.status, code="garbage",
                hint="check the endpoint: modelscan config show",
            ) from error  # fmt: skip


def utc_now() -> str:
    """RFC 3339, UTC, seconds."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class HttpClient:
    """Thread-safe. Close it, or use it as a context manager."""

    def __init__(
        self,
        *,
        offline: bool = False,
        timeout_s: float = 20.0,
        cache_dir: Path | None = None,
        backoff_s: tuple[float, ...] = BACKOFF_S,
        ca_file: str | None = None,
    ) -> None:
        self.offline = offline
        self.timeout_s = timeout_s
        self.received_bytes = 0
        self.requests = 0
        self._cache = AnswerCache(cache_dir) if cache_dir else None
        self._backoff_s = backoff_s
        self._ca_file = ca_file
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._active: set[Deadline] = set()
        self._client: httpx.Client | None = None

    @classmethod
    def from_config(cls, config: Config, *, ca_file: str | None = None) -> HttpClient:
        """The client the settings describe; its cache is in the catalog's cache folder.

        ``ca_file`` (PEM) replaces the usual certificate authorities.
        """
        timeout_s = config.http_timeout_s
        if not 0 < timeout_s <= MAX_TIMEOUT_S:
            raise UsageError(
                f"http_timeout_s is {timeout_s:g}: not above 0 and at most {MAX_TIMEOUT_S:g}",
                hint="modelscan config set http_timeout_s 20",
            )
        return cls(
            offline=config.offline,
            timeout_s=timeout_s,
            cache_dir=config.paths.catalog_dir / "http",
            ca_file=ca_file,
        )

    def __enter__(self) -> HttpClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connections."""
        if self._client is not None:
            self._client.close()

    def cancel(self) -> None:
        """Stop every request under way, from another thread; later ones fail at once."""
        self._stop.set()
        with self._lock:
            for deadline in self._active:
                deadline.cut()

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
        sent = dict(headers or {})
        private = any(name.lower() in ("authorization", "cookie") for name in sent)
        full = self._address(url, params)
        kept = self._cache.load(full, private=private) if cached and self._cache else None
        if kept and kept.etag:
            sent["If-None-Match"] = kept.etag
        elif kept and kept.last_modified:
            sent["If-Modified-Since"] = kept.last_modified
        answer = self._with_retries(full, sent, max_bytes)
        if not cached or self._cache is None:
            return answer
        if answer.status == 304 and kept:
            answer = Answer(full, 200, answer.headers, kept.body, answer.retrieved_at, True)
            kept = Kept(kept.body, kept.etag, kept.last_modified, answer.retrieved_at)
        else:
            validators = answer.headers.get("etag"), answer.headers.get("last-modified")
            kept = Kept(answer.body, *validators, answer.retrieved_at)
        self._cache.store(full, kept, private=private)
        return answer

    def get_range(
        self, url: str, start: int, length: int, *, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """``length`` bytes from ``start``; fewer at the end of the file.

        A server that ignores ranges is refused: its whole file would have to be moved.
        """
        if length <= 0:
            return b""
        asked = {**(headers or {}), "Range": f"bytes={start}-{start + length - 1}"}
        asked["Accept-Encoding"] = "identity"
        try:
            answer = self._with_retries(self._address(url, None), asked, length, want_range=True)
        except HttpError as error:
            if error.status == 416:
                return b""
            raise
        return answer.body

    def stream(
        self, url: str, start: int, *, headers: Mapping[str, str] | None = None
    ) -> Iterator[bytes]:
        """A file's bytes from ``start`` on, as they arrive; only silence is limited in time."""
        from modelscan.net.stream import stream

        address = self._address(url, None)
        return stream(self._connected(), address, start, headers or {}, self.timeout_s)

    def _address(self, url: str, params: Mapping[str, str | int] | None) -> str:
        """The full address. Offline, nothing gets past this line."""
        if self.offline:
            raise OfflineError(
                f"offline: {public(url)} was not asked",
                hint="run it without --offline (and unset MODELSCAN_OFFLINE)",
                details={"url": public(url)},
            )
        import httpx

        try:
            address = httpx.URL(url, params=dict(params)) if params else httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"'{public(url)}' is not an address: {error}") from error
        if address.scheme not in ("http", "https") or not address.host:
            raise UsageError(
                f"'{public(url)}' is not an http(s) address", hint="modelscan config show"
            )
        return str(address)

    def _with_retries(
        self, url: str, headers: Mapping[str, str], max_bytes: int, *, want_range: bool = False
    ) -> Answer:
        for pause_s in (*self._backoff_s, None):
            try:
                return self._once(url, headers, max_bytes, want_range)
            except HttpError as error:
                transient = error.status in _RETRIED or error.code in ("connect", "broken")
                asked_s = wait_asked_s(error.headers)
                if pause_s is None or not transient or (asked_s or 0) > MAX_WAIT_S:
                    raise
                if self._stop.wait(pause_s if asked_s is None else asked_s):
                    raise
        raise AssertionError("unreachable")  # pragma: no cover

    def _once(
        self, url: str, headers: Mapping[str, str], max_bytes: int, want_range: bool
    ) -> Answer:
        import httpx

        with Deadline(self.timeout_s) as deadline, self._tracked(deadline):
            try:
                return self._follow(url, headers, max_bytes, want_range, deadline)
            except httpx.HTTPError as error:
                raise explain(url, error, deadline, stopped=self._stop.is_set()) from error

    @contextlib.contextmanager
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

    def _follow(
        self,
        url: str,
        headers: Mapping[str, str],
        max_bytes: int,
        want_range: bool,
        deadline: Deadline,
    ) -> Answer:
        client = self._connected()
        extensions = {"trace": deadline.trace, "timeout": phases(self.timeout_s)}
        request = client.build_request("GET", url, headers=dict(headers), extensions=extensions)
        for _ in range(MAX_REDIRECTS + 1):
            response = client.send(request, stream=True, follow_redirects=False)
            with contextlib.closing(response):
                if response.next_request is None:
                    return self._answer(url, response, max_bytes, want_range, deadline)
                refuse_downgrade(request, response.next_request)
                request = response.next_request
        raise HttpError(
            f"{public(url)} was redirected more than {MAX_REDIRECTS} times",
            url=url,
            code="redirects",
            hint="check the endpoint: modelscan config show",
        )

    def _answer(
        self,
        url: str,
        response: httpx.Response,
        max_bytes: int,
        want_range: bool,
        deadline: Deadline,
    ) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.requests += 1
        if response.status_code >= 300 and response.status_code != 304:
            body = self._error_body(response)
            raise status_error(url, response.status_code, headers, body)
        if want_range and response.status_code != 206:
            raise HttpError(
                f"{host_of(url)} sends no parts of files (asked for {format_bytes(max_bytes)})",
                url=url, status=response.status_code, code="no_ranges",
            )  # fmt: skip
        body = self._body(url, response, headers, max_bytes, deadline)
        return Answer(url, response.status_code, headers, body, utc_now())

    def _body(
        self,
        url: str,
        response: httpx.Response,
        headers: Mapping[str, str],
        max_bytes: int,
        deadline: Deadline,
    ) -> bytes:
        """The body, refused as soon as it is known to be too large."""
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > max_bytes:
            raise too_large(url, int(announced), max_bytes)
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            self.received_bytes += len(part)
            if size > max_bytes:
                raise too_large(url, None, max_bytes)
            parts.append(part)
            if deadline.expired:
                break
        if deadline.expired:  # a cut connection may look like the end of the body
            raise out_of_time(url, deadline, stopped=self._stop.is_set(), got_bytes=size)
        return b"".join(parts)

    def _error_body(self, response: httpx.Response) -> bytes:
        """The first bytes of an error's explanation."""
        import httpx

        body = b""
        with contextlib.suppress(httpx.HTTPError):
            for part in response.iter_bytes():
                body += part
                if len(body) >= _ERROR_BODY_BYTES:
                    break
        return body[:_ERROR_BODY_BYTES]

    def _connected(self) -> httpx.Client:
        """The client, made on first use. No keep-alive: a deadline owns its connection."""
        with self._lock:
            if self._client is None:
                self._client = new_client(self._ca_file)
            return self._client
