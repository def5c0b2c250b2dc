"""Streams that are answered while their model still loads: comments, then the answer or an error.

The status is out with the first comment, so that a failure afterwards is an event in the caller's
dialect. Only where ``loading_comments`` is set in the routing file's limits.
"""

from __future__ import annotations

import msgspec

from modelscan.gateway.data.errors import RefusedError, dialect_of, error_document, start_line
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.request import ClientRequest
from modelscan.routing.table import GENERATING

EVERY_S = 5.0
COMMENT = b": loading\n\n"
_LAST = b"0\r\n\r\n"


def may_open(request: ClientRequest, plan: RoutePlan) -> bool:
    """Whether a request's answer is an event stream that may begin with comments."""
    return (
        plan.state.limits.loading_comments
        and plan.stream
        and plan.operation in GENERATING
        and not request.old
        and request.method == b"POST"
        and not request.path.startswith(b"/api/")  # Ollama's streams are lines of JSON
    )


def opening(extra: bytes) -> bytes:
    """The head of such an answer; ``extra``: further header lines."""
    return b"%bcontent-type: text/event-stream\r\ncache-control: no-cache\r\n%b%b\r\n" % (
        start_line(200), b"transfer-encoding: chunked\r\n", extra,
    )  # fmt: skip


def chunk(data: bytes) -> bytes:
    """A piece of the body in its framing."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def failure(refusal: RefusedError, path: bytes) -> bytes:
    """The end of a stream whose model did not answer, with the error as an event."""
    dialect = dialect_of(path)
    wait = "" if refusal.retry_after is None else f" (try again in {refusal.retry_after} s)"
    told = RefusedError(refusal.cause, refusal.message + wait)
    if path == b"/v1/responses":
        document = msgspec.json.encode(
            {"type": "error", "code": told.cause.code, "message": told.message, "param": None}
        )
    else:
        document = error_document(told, dialect)
    if path == b"/v1/responses" or dialect == "anthropic":
        return chunk(b"event: error\ndata: %b\n\n" % document) + _LAST
    return chunk(b"data: %b\n\ndata: [DONE]\n\n" % document) + _LAST
