"""What can go wrong with a request, told apart and said in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelscan.core.errors import RemoteError
from modelscan.core.units import format_bytes
from modelscan.net.deadline import Deadline, wait_asked_s

if TYPE_CHECKING:
    import httpx


class HttpError(RemoteError):
    """A request that failed. ``status`` is None when no answer came."""

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
    ) -> None:
        details = {"url": public(url), "status": status}
        super().__init__(message, hint=hint, code=code, details=details)
        self.url = public(url)
        self.status = status
        self.headers: Mapping[str, str] = headers or {}
        self.body = body


def status_error(url: str, status: int, headers: Mapping[str, str], body: bytes) -> HttpError:
    """The error for an answer of 400 or more, with what the server says about it."""
    said = re.sub(r"\s+", " ", headers.get("x-error-message") or _message_in(body)).strip()
    text = f"{host_of(url)} answered {status}" + (f": {said}" if said else "")
    hint, code = None, "http_status"
    if status == 429:
        asked_s, code = wait_asked_s(headers), "rate_limited"
        text = f"{host_of(url)} answered 429: too many requests"
        hint = "try again later" if asked_s is None else f"try again in {asked_s:.0f} s"
    elif status >= 500:
        hint = "the server has a problem: try again later"
    return HttpError(text, url=url, status=status, headers=headers, body=body, hint=hint, code=code)


def too_large(url: str, size: int | None, limit: int) -> HttpError:
    """The error for a body that is larger than anything expected there."""
    said = "more than" if size is None else f"{format_bytes(size)}, over"
    return HttpError(
        f"{public(url)} sends {said} the {format_bytes(limit)} that are accepted there",
        url=url, code="too_large", hint="check the endpoint: modelscan config show",
    )  # fmt: skip


def _message_in(body: bytes) -> str:
    """A JSON error's own words; nothing from a web page."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict):
        return ""
    found = data.get("message") or data.get("Message") or data.get("error") or data.get("detail")
    if isinstance(found, dict):
        found = found.get("message")
    return found[:300] if isinstance(found, str) else ""


def public(url: str) -> str:
    """The address without the user and password that a mirror's endpoint may carry."""
    return re.sub(r"^(\w+://)[^/@?#]*@", r"\1", url)


def host_of(url: str) -> str:
    """Host and port, without user, password, path or query."""
    return re.sub(r"^\w+://(?:[^/@]*@)?([^/?#]*).*$", r"\1", url, flags=re.DOTALL)


def reason_of(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return re.sub(r"^\[Errno -?\d+\] ", "", text)


def explain(url: str, error: httpx.HTTPError, deadline: Deadline, *, stopped: bool) -> HttpError:
    """A failure without a status: stopped, too slow, no connection, or broken off."""
    import httpx

    host = host_of(url)
    if stopped or deadline.expired or isinstance(error, httpx.TimeoutException):
        return out_of_time(url, deadline, stopped=stopped)
    if isinstance(error, httpx.ProxyError):
        text, code = f"the proxy refused the way to {host}: {reason_of(error)}", "connect"
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
    elif isinstance(error, httpx.ConnectError):
        text, code = f"cannot connect to {host}: {reason_of(error)}", "connect"
        hint = "check the network, or use --offline"
    else:
        text, code = f"{host} broke off the answer: {reason_of(error)}", "broken"
        hint = "try again"
    return HttpError(text, url=url, code=code, hint=hint)


def out_of_time(
    url: str, deadline: Deadline, *, stopped: bool, got_bytes: int | None = None
) -> HttpError:
    """The error for an answer that took too long, or whose request was stopped by Ctrl-C."""
    if stopped:
        return HttpError(f"the request to {host_of(url)} was stopped", url=url, code="stopped")
    got = "" if got_bytes is None else f" ({format_bytes(got_bytes)} came)"
    return HttpError(
        f"{host_of(url)} did not finish its answer within {deadline.seconds:g} s{got}",
        url=url,
        code="timeout",
        hint=f"modelscan config set http_timeout_s {deadline.seconds * 3:g}",
    )
