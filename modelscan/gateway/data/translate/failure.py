"""What went wrong at the model server, read once, for the words of each dialect.

Assistants understand few texts and retry every 5xx, so the kind decides the status and the code:
Codex knows ``context_length_exceeded``, Claude Code ``prompt is too long: N tokens > M maximum``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

FailureKind = Literal[
    "context", "overloaded", "rate_limit", "bad_request", "authentication", "permission",
    "not_found", "too_large", "broken", "timeout", "server",
]  # fmt: skip

_CONTEXT = re.compile(
    r"maximum context length|context (?:size|length|window)|prompt is too long"
    r"|input length .* exceeds|exceeds? the (?:model'?s? )?max(?:imum)?[ _](?:model[ _])?len",
    re.IGNORECASE | re.DOTALL,
)
_LIMIT = re.compile(
    r"(?:maximum context length (?:is|of)|context size \(|context length (?:is|of)|maximum(?: of)?"
    r"|max_model_len[^0-9]{0,12}|limit(?:ed to)?)\s*\(?(\d+)",
    re.IGNORECASE,
)
_ASKED = re.compile(
    r"(?:requested|resulted in|has|have|contains?|request \(|prompt is|input (?:length|of))"
    r"\s*(?:about )?\(?(\d+)",
    re.IGNORECASE,
)
# An image for a model without a projector is a 500 of llama.cpp, which clients would repeat.
_CANNOT = re.compile(r"image input is not supported|does not support (?:image|vision|audio)", re.I)

_BY_STATUS: dict[int, FailureKind] = {
    400: "bad_request", 401: "authentication", 403: "permission", 404: "not_found",
    408: "timeout", 413: "too_large", 422: "bad_request", 429: "rate_limit", 502: "broken",
    503: "overloaded", 504: "timeout", 529: "overloaded",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """``tokens`` and ``limit_tokens`` are those of the server's text, for kind ``context``."""

    status: int
    kind: FailureKind
    message: str
    code: str | None = None
    tokens: int | None = None
    limit_tokens: int | None = None


class BadRequest(ValueError):
    """A request that cannot be translated; ``param`` names the field."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


def read_failure(status: int, body: bytes) -> UpstreamFailure:
    """The failure that an answer of ``status`` 400 and above tells, in any server's shape."""
    details = _details(body)
    message = str(details.get("message") or details.get("detail") or "") or _text(body, status)
    code = details.get("code")
    if _is_context(details, message):
        tokens = _number(details.get("n_prompt_tokens")) or _match(_ASKED, message)
        limit = _number(details.get("n_ctx")) or _match(_LIMIT, message)
        return UpstreamFailure(400, "context", message, "context_length_exceeded", tokens, limit)
    if _CANNOT.search(message):
        status = 400
    kind = _BY_STATUS.get(status, "server" if status >= 500 else "bad_request")
    return UpstreamFailure(status, kind, message, code if isinstance(code, str) else None)


def broken(message: str) -> UpstreamFailure:
    """The model server ended a stream before it was complete."""
    return UpstreamFailure(502, "broken", message)


def _is_context(details: dict[str, Any], message: str) -> bool:
    stated = {details.get("code"), details.get("type")} & {
        "context_length_exceeded", "exceed_context_size_error",
    }  # fmt: skip
    return bool(stated) or _CONTEXT.search(message) is not None


def _details(body: bytes) -> dict[str, Any]:
    """The error's fields: ``{"error": {…}}``, ``{"error": "…"}``, or the object itself."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {"message": str(document)}
    error = document.get("error", document)
    return error if isinstance(error, dict) else {"message": str(error)}


def _text(body: bytes, status: int) -> str:
    text = body.decode("utf-8", "replace").strip()[:500]
    return text or f"the model server answered with status {status}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _match(pattern: re.Pattern[str], message: str) -> int | None:
    found = pattern.search(message)
    return int(found.group(1)) if found else None
