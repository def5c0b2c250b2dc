"""The errors of HTTP requests, by kind, with their texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from modelscan.core.errors import RemoteError
from modelscan.core.json_reader import json_value
from modelscan.core.units import format_bytes
from modelscan.net.address import host_of, public

_CHECK_PROXY = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
_CHECK_ENDPOINT = "check the endpoint: modelscan config show"

STOPPED = "stopped"  # the code of a request that was cancelled

FailureKind = Literal["connect", "proxy", "broken", "timeout"]


class TransportFailure(Exception):
    """A request without a complete response: raised by transports in place of their library's
    errors. ``proxy``: the one that the connection goes to, with its variable; None without one.
    """

    def __init__(self, kind: FailureKind, reason: str, proxy: str | None = None) -> None:
        super().__init__(reason)
        self.proxy = proxy
        self.kind: FailureKind = kind
        self.reason = re.sub(r"^\[Errno -?\d+\] ", "", reason)


class HttpError(RemoteError):
    """A request that failed. ``status`` is None if there was no response.

    ``reason`` is the cause without the host name, ``attempts`` the number of times the request was
    sent.
    """

    def __init__(
        self,
        message: str,
        *,
        url: str,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        hint: str | None = None,
        code: str | None = None,
        reason: str | None = None,
    ) -> None:
        details = {"url": public(url), "status": status}
        super().__init__(message, hint=hint, code=code, details=details)
        self.url = public(url)
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.body = body
        self.reason = reason or message
        self.attempts = 1


def status_error(url: str, status: int, headers: Mapping[str, str], body: bytes) -> HttpError:
    """The error for a status of 300 or more, with the server's own error message."""
    message = re.sub(r"\s+", " ", headers.get("x-error-message") or _message_in(body)).strip()
    text = f"{host_of(url)} answered {status}" + (f": {message}" if message else "")
    hint, code = None, "http_status"
    if status == 429:
        wait_s, code = requested_wait_s(headers), "rate_limited"
        text = f"{host_of(url)} answered 429: too many requests"
        hint = "try again later" if wait_s is None else f"try again in {wait_s:.0f} s"
    elif status >= 500:
        hint = "the server reported an internal error: try again later"
    return HttpError(text, url=url, status=status, headers=headers, body=body, hint=hint, code=code)


def too_large(url: str, size: int | None, limit: int) -> HttpError:
    """The error for a body above ``limit`` bytes; ``size`` is the announced size in bytes, if
    any.
    """
    amount = "more than" if size is None else f"{format_bytes(size)}, more than"
    reason = f"sends {amount} the limit of {format_bytes(limit)}"
    return HttpError(
        f"{public(url)} {reason}", url=url, code="too_large", hint=_CHECK_ENDPOINT, reason=reason
    )


def no_ranges(url: str, status: int) -> HttpError:
    """The error for a server that ignores a byte range."""
    return HttpError(
        f"{host_of(url)} does not support byte ranges", url=url, status=status, code="no_ranges"
    )


def redirect_error(url: str, why: str) -> HttpError:
    """The error for a redirect that is not followed; ``why`` completes "ADDRESS …"."""
    return HttpError(f"{public(url)} {why}", url=url, code="redirects", hint=_CHECK_ENDPOINT)


def not_json(url: str, status: int, size: int) -> HttpError:
    """The error for a body that is not JSON, although JSON was expected."""
    return HttpError(
        f"{public(url)} answered with something that is not JSON ({format_bytes(size)})",
        url=url, status=status, code="garbage", hint=_CHECK_ENDPOINT,
    )  # fmt: skip


def _message_in(body: bytes) -> str:
    """The message of a JSON error body; "" for a web page."""
    try:
        data = json_value(body)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    text = data.get("message") or data.get("Message") or data.get("error") or data.get("detail")
    if isinstance(text, dict):
        text = text.get("message")
    return text[:300] if isinstance(text, str) else ""


def explain(url: str, failure: TransportFailure) -> HttpError:
    """The error for a failure without a status: no connection, refused by a proxy, broken
    response.
    """
    host, reason = host_of(url), failure.reason
    if failure.kind == "proxy":
        text, code = f"the proxy refused the connection to {host}: {reason}", "connect"
        hint = _CHECK_PROXY
    elif failure.kind == "connect":
        by = f" by the proxy {failure.proxy}" if failure.proxy else ""
        text, code = f"cannot connect to {host}{by}: {reason}", "connect"
        hint = _CHECK_PROXY if failure.proxy else "check the network, or use --offline"
    else:
        text, code = (
            f"{host} closed the connection before the answer was complete: {reason}",
            "broken",
        )
        hint = "try again"
    return HttpError(text, url=url, code=code, hint=hint, reason=reason)


def stopped(url: str) -> HttpError:
    """The error for a request that was cancelled (Ctrl-C)."""
    return HttpError(f"the request to {host_of(url)} was stopped", url=url, code=STOPPED)


def silent(url: str, limit_s: float) -> HttpError:
    """The error for a stream without data for ``limit_s`` seconds."""
    reason = f"sent nothing for {limit_s:g} s"
    return HttpError(
        f"{host_of(url)} {reason}", url=url, code="broken", hint="try again", reason=reason
    )


def out_of_time(url: str, limit_s: float, received_bytes: int | None = None) -> HttpError:
    """The error for a response that was not complete after ``limit_s`` seconds."""
    received = "" if received_bytes is None else f" ({format_bytes(received_bytes)} received)"
    return HttpError(
        f"{host_of(url)} did not finish its answer within {limit_s:g} s{received}",
        url=url, code="timeout", hint=f"modelscan config set http_timeout_s {limit_s * 3:g}",
        reason=f"no complete answer within {limit_s:g} s{received}",
    )  # fmt: skip


def requested_wait_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """The seconds to wait that a server requests: ``Retry-After``, else ``RateLimit``; None if
    none.

    ``Retry-After`` is seconds or a date; ``now`` is in seconds since 1970, and without it a date is
    ignored. ``RateLimit: "api";r=0;t=55`` is the form that the Hugging Face hub sends (r requests
    left, t seconds to the next window).
    """
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return float(after)
    if after and now is not None:
        at = _timestamp(after)
        if at is not None:
            return max(0.0, at - now)
    limit = re.search(r"r=(?P<left>\d+)\s*;\s*t=(?P<reset_s>\d+)", headers.get("ratelimit", ""))
    if limit and int(limit["left"]) == 0:
        return float(limit["reset_s"])
    return None


def _timestamp(text: str) -> float | None:
    """Seconds since 1970 of an HTTP date; None for other text."""
    import email.utils

    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError):
        return None
