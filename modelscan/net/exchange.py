"""The core of the HTTP client: what to send, what a response means, when to retry. Pure.

The sync and async clients carry it out: ``on_head`` decides between following a redirect and
reading, ``Body`` how much is read, ``answer_of`` builds the result, ``retry_pause_s`` decides on
another attempt. The types are named tuples: a dataclass takes ten times as long to define, which
would slow down every ``modelscan list`` with a running engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urljoin

from modelscan.core.errors import OfflineError, UsageError
from modelscan.core.json_reader import json_value
from modelscan.core.tls import TlsFiles
from modelscan.core.units import MIB
from modelscan.net.address import checked, host_of, keeps_credentials, public, stays_here
from modelscan.net.errors import (
    HttpError,
    no_ranges,
    not_json,
    redirect_error,
    requested_wait_s,
    status_error,
    too_large,
)

if TYPE_CHECKING:
    from modelscan.net.conditional import AnswerStore

MAX_BODY_BYTES = 64 * MIB  # the largest catalog today is 6 MiB
MAX_REDIRECTS = 5
MAX_WAIT_S = 8.0  # if a server requests a longer wait, the request fails instead
BACKOFF_S = (0.3, 1.0)  # before the second and third attempt
ERROR_BODY_BYTES = 64 * 1024
MAX_LINE_BYTES = 8 * MIB

_RETRIED = frozenset({429, 500, 502, 503, 504})
_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_NOT_MODIFIED, _PARTIAL = 304, 206


class HttpLimits(NamedTuple):
    """The limits of one request.

    ``range_start``: the response must begin at that byte of the file.
    """

    timeout_s: float
    max_bytes: int = MAX_BODY_BYTES
    max_redirects: int = MAX_REDIRECTS
    pauses_s: tuple[float, ...] = BACKOFF_S
    range_start: int | None = None


class HttpSettings(NamedTuple):
    """The settings of a client, derived from the configuration by the caller.

    ``timeout_s`` limits one attempt from the first byte sent to the last received. ``ca_file``
    (PEM) replaces the default certificate authorities; ``cert_file`` and ``key_file`` (PEM) are
    the client's own certificate.
    """

    timeout_s: float = 20.0
    offline: bool = False
    ca_file: str | None = None
    pauses_s: tuple[float, ...] = BACKOFF_S
    cache: AnswerStore | None = None
    offline_because: str = "--offline is set"
    cert_file: str | None = None
    key_file: str | None = None

    def with_files(self, files: TlsFiles | None) -> HttpSettings:
        """The same with the files for one server; None: as before."""
        if files is None:
            return self
        ca = files.ca or self.ca_file
        return self._replace(ca_file=ca, cert_file=files.cert, key_file=files.key)

    @property
    def own(self) -> tuple[str, str | None] | None:
        """The client's certificate and key (None: in the same file); None: it has none."""
        return None if self.cert_file is None else (self.cert_file, self.key_file)

    def limits(self, **changes: Any) -> HttpLimits:
        """The limits of a request under these settings; ``changes`` are fields of HttpLimits."""
        defaults: dict[str, Any] = {"timeout_s": self.timeout_s, "pauses_s": self.pauses_s}
        return HttpLimits(**{**defaults, **changes})


class HttpRequest(NamedTuple):
    """One request. A ``body`` that is an iterator is read once, so the request is not retried.

    ``first_url`` is the address before redirects. Messages display it, because a redirect target
    may contain a signature.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Iterable[bytes] | None = None
    first_url: str = ""

    @property
    def shown(self) -> str:
        """The address to display in messages."""
        return self.first_url or self.url

    @property
    def private(self) -> bool:
        """True if the request carries credentials."""
        return any(name.lower() in _CREDENTIALS for name in self.headers)


class Answer(NamedTuple):
    """A successful response. Header names are lower case; ``not_modified``: the body is the
    cache's.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    retrieved_at: str
    not_modified: bool = False

    def json(self) -> Any:
        """The body as JSON. Raises HttpError if it is not JSON."""
        try:
            return json_value(self.body)
        except ValueError as error:
            raise not_json(self.url, self.status, len(self.body)) from error


class Read(NamedTuple):
    """Instruction to read at most ``max_bytes`` of the body. More is an error, or dropped
    (``cut``).
    """

    max_bytes: int
    cut: bool = False


def request_to(
    settings: HttpSettings,
    method: str,
    url: str,
    *,
    params: Mapping[str, str | int] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | Iterable[bytes] | None = None,
) -> HttpRequest:
    """The request. Raises OfflineError when offline, UsageError if not an http(s) address."""
    if settings.offline:
        raise OfflineError(
            f"offline: no request was sent to {public(url)} ({settings.offline_because})",
            hint="run it without --offline (and unset MODELSCAN_OFFLINE)"
            if settings.offline_because.startswith("--")
            else f"{settings.offline_because}; unset it to allow requests",
            details={"url": public(url)},
        )
    return HttpRequest(method, checked(url, params), dict(headers or {}), body)


def json_body(value: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body of a JSON request."""
    return {"Content-Type": "application/json"}, json.dumps(value).encode()


def on_head(
    request: HttpRequest,
    status: int,
    headers: Mapping[str, str],
    redirects: int,
    limits: HttpLimits,
) -> HttpRequest | Read:
    """The action after a response's head: send another request (a redirect) or read the body.

    ``redirects`` counts those already followed. Raises HttpError to refuse the response.
    """
    if status in _REDIRECTS and "location" in headers and _may_follow(request, limits):
        if redirects >= limits.max_redirects:
            why = f"was redirected more than {limits.max_redirects} times"
            raise redirect_error(request.shown, why)
        return _redirected(request, headers["location"])
    if status >= 300 and status != _NOT_MODIFIED:
        return Read(ERROR_BODY_BYTES, cut=True)
    if limits.range_start is not None and not _begins_at(limits.range_start, status, headers):
        raise no_ranges(request.shown, status)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limits.max_bytes and request.method != "HEAD":
        raise too_large(request.shown, int(announced), limits.max_bytes)
    return Read(limits.max_bytes)


def _may_follow(request: HttpRequest, limits: HttpLimits) -> bool:
    return limits.max_redirects > 0 and request.method in ("GET", "HEAD")


def _redirected(request: HttpRequest, location: str) -> HttpRequest:
    """The request to the redirect's target, without credentials if it is another server."""
    try:
        url = checked(urljoin(request.url, location))
    except (UsageError, ValueError) as error:
        raise redirect_error(
            request.shown, "redirects to something that is not an http(s) address"
        ) from error
    if request.url.startswith("https:") and not url.startswith("https:"):
        raise HttpError(
            f"{host_of(request.shown)} redirects to an unencrypted address",
            url=request.shown,
            code="redirects",
        )
    if stays_here(url) and not stays_here(request.url):
        raise redirect_error(
            request.shown, "redirects to this machine; such redirects are not followed"
        )
    if keeps_credentials(request.url, url):
        return request._replace(first_url=request.shown, url=url)
    headers = {n: value for n, value in request.headers.items() if n.lower() not in _CREDENTIALS}
    return request._replace(first_url=request.shown, url=url, headers=headers)


def _begins_at(start: int, status: int, headers: Mapping[str, str]) -> bool:
    begins = re.match(r"bytes (\d+)-", headers.get("content-range", ""))
    return status == _PARTIAL and begins is not None and int(begins[1]) == start


class Body:
    """Collects a response's body and enforces its limit, part by part."""

    def __init__(self, url: str, read: Read) -> None:
        self.size = 0
        self._url, self._read = url, read
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> bool:
        """Add a part. False if no more needs to be read. Raises HttpError if the body is too
        large.
        """
        self.size += len(part)
        self._parts.append(part)
        if self.size > self._read.max_bytes and not self._read.cut:
            raise too_large(self._url, None, self._read.max_bytes)
        return self.size < self._read.max_bytes or not self._read.cut

    def joined(self) -> bytes:
        """The collected bytes, at most ``max_bytes``."""
        return b"".join(self._parts)[: self._read.max_bytes]


def answer_of(
    request: HttpRequest, status: int, headers: Mapping[str, str], body: bytes, retrieved_at: str
) -> Answer:
    """The response as an Answer. Raises HttpError for a status of 300 or more (except 304)."""
    if status >= 300 and status != _NOT_MODIFIED:
        raise status_error(request.shown, status, headers, body)
    return Answer(request.shown, status, headers, body, retrieved_at)


def retry_pause_s(
    request: HttpRequest, error: HttpError, attempt: int, limits: HttpLimits, now: float
) -> float | None:
    """Seconds until the next attempt; None if the error is final.

    Only idempotent requests are retried, after 429, 5xx and failed or broken connections; never
    after a timeout. ``attempt`` counts from 1; ``now``: seconds since 1970.
    """
    repeatable = request.method in _IDEMPOTENT and isinstance(request.body, (bytes, type(None)))
    transient = error.status in _RETRIED or error.code in ("connect", "broken")
    if not repeatable or not transient or attempt > len(limits.pauses_s):
        return None
    wait_s = requested_wait_s(error.headers, now)
    if wait_s is None:
        return limits.pauses_s[attempt - 1]
    return wait_s if wait_s <= MAX_WAIT_S else None


class Lines:
    """Splits a stream of bytes into lines of text.

    Raises HttpError for a line above ``line_bytes`` and a stream above ``max_bytes`` (None: no
    limit).
    """

    def __init__(
        self, url: str, max_bytes: int | None = None, line_bytes: int = MAX_LINE_BYTES
    ) -> None:
        self._url, self._max_bytes, self._line_bytes = url, max_bytes, line_bytes
        self._size = 0
        self._rest = b""

    def add(self, part: bytes) -> Iterator[str]:
        """The complete lines so far, without line ends."""
        self._size += len(part)
        if self._max_bytes is not None and self._size > self._max_bytes:
            raise too_large(self._url, None, self._max_bytes)
        *complete, self._rest = (self._rest + part).split(b"\n")
        for line in complete:
            yield line.decode("utf-8", "replace").rstrip("\r")
        if len(self._rest) > self._line_bytes:
            raise too_large(self._url, None, self._line_bytes)

    def end(self) -> Iterator[str]:
        """The last line, if the stream ended without a line break."""
        if self._rest:
            yield self._rest.decode("utf-8", "replace").rstrip("\r")
