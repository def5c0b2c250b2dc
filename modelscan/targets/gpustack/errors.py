"""GPUStack's error answers as modelscan's errors. Pure.

Four forms occur, and one server uses the first two: ``{code, reason, message}``, ``{error:
{message, code, type}}``, ``{detail}``, and for 422 a Python repr inside ``message``. Observed on
0.7.1 and 2.3.0.
"""

from __future__ import annotations

import json
import re
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.state.secrets import redact

_MAX_TEXT = 600
_REPR_MESSAGE = re.compile(r"'msg': (['\"])(?P<msg>.*?)\1")
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_REPR_FIELD = re.compile(r"'loc': \((?P<loc>[^)]*)\)")


def message_of(body: Any, text: str = "") -> str:
    """The message of an error answer in any of its forms; redacted and bounded."""
    message = text
    if isinstance(body, dict):
        inner = body.get("error")
        if isinstance(inner, dict):
            message = str(inner.get("message") or inner.get("type") or "")
        elif "message" in body:
            message = str(body["message"])
        elif "detail" in body:
            detail = body["detail"]
            message = detail if isinstance(detail, str) else json.dumps(detail)
    return redact(_readable(message))[:_MAX_TEXT]


def _readable(text: str) -> str:
    """Pydantic's repr in a string as ``field: what is wrong``."""
    if text.lstrip().startswith("<"):
        title = _TITLE.search(text)
        return f"a web page ({' '.join(title[1].split())})" if title else "a web page"
    messages = [match["msg"] for match in _REPR_MESSAGE.finditer(text)]
    if not messages:
        return " ".join(text.split())
    fields = [
        ".".join(
            part.strip(" '\"")
            for part in m["loc"].split(",")
            if part.strip(" '\"") not in ("", "body")
        )
        for m in _REPR_FIELD.finditer(text)
    ]
    fields += [""] * (len(messages) - len(fields))
    return "; ".join(f"{f}: {m}" if f else m for f, m in zip(fields, messages, strict=False))


def error_from(
    status: int,
    body: Any,
    text: str,
    *,
    what: str,
    target: str,
    keyed: bool = True,
    location: str | None = None,
) -> ModelscanError:
    """The error for a status that is not 2xx.

    ``what`` is the request as text; ``keyed``: a key was sent; ``location``: the target of a
    redirect (it is never followed).
    """
    reason = message_of(body, text) or f"HTTP {status}"
    details = {"status": status, "target": target}
    if status == 401:
        verb = "refused the key" if keyed else "requires a key"
        return AuthError(
            f"{target} {verb} ({what}): {reason}",
            hint=f"modelscan target add {target} URL --key env:NAME   (keys are made in its UI)",
            details=details,
        )
    if status == 403:
        return AuthError(
            f"the key for {target} may not {what}: {reason}",
            hint="create a key with the scope * (management and inference) in GPUStack's UI",
            code="scope", details=details,
        )  # fmt: skip
    if status in (400, 409, 422):
        hint, code = "add --dry-run to see exactly what is sent", "refused"
        if status == 409:
            hint, code = "choose another --name", "already_exists"
        return UsageError(
            f"{target} refused to {what}: {reason}", hint=hint, code=code, details=details
        )
    if status == 404:
        return RemoteError(
            f"{target} answered not found ({what}): {reason}",
            hint="modelscan list", code="not_found", details=details,
        )  # fmt: skip
    if 300 <= status < 400 and location:
        return RemoteError(
            f"{target} answered {status} ({what}): it is at {redact(location)[:_MAX_TEXT]}",
            hint=f"modelscan target add {target} URL   (its new address; redirects are not "
            "followed: the key would go along)",
            code="moved", details=details,
        )  # fmt: skip
    return RemoteError(
        f"{target} answered {status} ({what}): {reason}",
        hint=f"modelscan target test {target}", details=details,
    )  # fmt: skip
