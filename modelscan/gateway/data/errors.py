"""Refusals of the data path, and how they read in the caller's dialect."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import Literal

import msgspec

ErrorForm = Literal["openai", "anthropic", "plain", "problem"]


class Cause(Enum):
    """Why a request was refused: status, type for OpenAI clients, for Anthropic clients, code."""

    MALFORMED = (400, "invalid_request_error", "invalid_request_error", "malformed_request")
    UNSUPPORTED = (400, "invalid_request_error", "invalid_request_error", "unsupported_parameter")
    BODY = (400, "invalid_request_error", "invalid_request_error", "invalid_body")
    NO_KEY = (401, "authentication_error", "authentication_error", "missing_api_key")
    WRONG_KEY = (401, "authentication_error", "authentication_error", "invalid_api_key")
    EXPIRED_KEY = (401, "authentication_error", "authentication_error", "expired_api_key")
    SCOPE = (403, "permission_error", "permission_error", "scope")
    MODEL_DENIED = (403, "permission_error", "permission_error", "model_not_allowed")
    ORIGIN = (403, "permission_error", "permission_error", "origin_not_allowed")
    HOST = (421, "invalid_request_error", "invalid_request_error", "host_not_allowed")
    NO_MODEL = (404, "invalid_request_error", "not_found_error", "model_not_found")
    NO_PATH = (404, "invalid_request_error", "not_found_error", "path_not_found")
    METHOD = (405, "invalid_request_error", "invalid_request_error", "method_not_allowed")
    SLOW = (408, "invalid_request_error", "invalid_request_error", "request_timeout")
    TOO_LARGE = (413, "invalid_request_error", "request_too_large", "body_too_large")
    EXPECTATION = (417, "invalid_request_error", "invalid_request_error", "expectation")
    RATE = (429, "rate_limit_error", "rate_limit_error", "rate_limit_exceeded")
    CONCURRENCY = (429, "rate_limit_error", "rate_limit_error", "concurrency_limit_exceeded")
    BUDGET = (429, "insufficient_quota", "rate_limit_error", "insufficient_quota")
    QUEUE_FULL = (429, "overloaded_error", "overloaded_error", "queue_full")
    HEAD_TOO_LARGE = (431, "invalid_request_error", "request_too_large", "head_too_large")
    NOT_SUPPORTED = (501, "not_supported_error", "api_error", "operation_not_supported")
    UPSTREAM = (502, "upstream_error", "api_error", "upstream_failed")
    UNAVAILABLE = (503, "overloaded_error", "overloaded_error", "no_backend")
    QUEUE_TIMEOUT = (503, "overloaded_error", "overloaded_error", "queue_timeout")
    ASLEEP = (503, "overloaded_error", "overloaded_error", "model_asleep")
    WAKE_TIMEOUT = (503, "overloaded_error", "overloaded_error", "model_loading")
    STOPPING = (503, "overloaded_error", "overloaded_error", "gateway_stopping")
    MEMORY = (503, "overloaded_error", "overloaded_error", "memory_limit")
    CONNECTIONS = (503, "overloaded_error", "overloaded_error", "connection_limit")
    UPSTREAM_SLOW = (504, "upstream_error", "api_error", "upstream_timeout")

    @property
    def status(self) -> int:
        return self.value[0]

    @property
    def code(self) -> str:
        return self.value[3]


class RefusedError(Exception):
    """A request that the gateway answers itself. ``retry_after``: seconds for the header."""

    def __init__(self, cause: Cause, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message
        self.retry_after = retry_after

    @property
    def headers(self) -> bytes:
        """Header lines that belong to the answer."""
        lines = b""
        if self.retry_after is not None:
            lines += b"retry-after: %d\r\n" % self.retry_after
        if self.cause.status == 401:
            lines += b"www-authenticate: Bearer\r\n"
        return lines


_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
START_LINES = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASONS.items()
}
# A browser shows an error as what it is, and in no frame.
_SAFE = b"x-content-type-options: nosniff\r\nx-frame-options: DENY\r\ncache-control: no-store\r\n"
_TYPES: dict[ErrorForm, bytes] = {
    "plain": b"application/json",
    "openai": b"application/json",
    "anthropic": b"application/json",
    "problem": b"application/problem+json",
}


def start_line(status: int) -> bytes:
    """The status line with its CRLF."""
    return START_LINES.get(status) or b"HTTP/1.1 %d Status\r\n" % status


def dialect_of(path: bytes) -> ErrorForm:
    """Which error form the clients of a path read."""
    if path.startswith(b"/v1/messages"):
        return "anthropic"
    if path.startswith(b"/api/"):
        return "plain"
    if path.startswith((b"/v1/cluster", b"/v1/nodes")):
        return "problem"
    inference = (b"/v1/", b"/v2/", b"/tokenize", b"/detokenize", b"/rerank")
    return "openai" if path.startswith(inference) else "problem"


def error_document(refusal: RefusedError, dialect: ErrorForm) -> bytes:
    """The JSON body of an error."""
    status, openai, anthropic, code = refusal.cause.value
    document: dict[str, object]
    if dialect == "anthropic":
        document = {"type": "error", "error": {"type": anthropic, "message": refusal.message}}
    elif dialect == "plain":
        document = {"error": refusal.message}
    elif dialect == "openai":
        error = {"message": refusal.message, "type": openai, "param": None, "code": code}
        document = {"error": error}
    else:
        title = HTTPStatus(status).phrase
        document = {"type": "about:blank", "title": title, "status": status}
        document |= {"detail": refusal.message, "code": code}
    return msgspec.json.encode(document)


def refusal_answer(
    refusal: RefusedError, dialect: ErrorForm, tail: bytes, body: bool = True
) -> bytes:
    """A whole answer; ``tail`` are further header lines, ``body`` False answers HEAD."""
    document = error_document(refusal, dialect)
    head = b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b%b\r\n" % (
        start_line(refusal.cause.status), _TYPES[dialect], len(document), _SAFE, refusal.headers,
        tail,
    )  # fmt: skip
    return head + document if body else head
