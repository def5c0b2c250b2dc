"""The results of ``modelscan trace``: receipts as spans, each with one JSON form."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.receipt import Receipt
from modelscan.core.request_id import trace_id_of
from modelscan.routing.table import Tier
from modelscan.state.clock import text_of
from modelscan.traces.store import ReceiptFilter, ReceiptStore

if TYPE_CHECKING:
    from modelscan.state.server.database import ServerDatabase


@dataclass(frozen=True, slots=True)
class SpanUsage:
    """Tokens of a request; None: the server did not say."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None


@dataclass(frozen=True, slots=True)
class LeftMachine:
    """What was sent to a host that is not this machine: bytes of the request's body."""

    bytes: int
    host: str | None


@dataclass(frozen=True, slots=True)
class Span:
    """One request; times in seconds, ``started_at`` in UTC. It has no prompt and no answer."""

    trace_id: str
    started_at: str
    duration_s: float | None
    operation: str
    requested_model: str
    route: str | None
    role: str | None
    provider: str | None
    served_model: str | None
    endpoint_host: str | None
    tier: Tier | None
    reasons: tuple[str, ...]
    retries: int
    fallback_from: str | None
    status: int
    error_type: str | None
    stream: bool
    ttft_s: float | None
    queue_s: float | None
    finish_reasons: tuple[str, ...]
    usage: SpanUsage
    left_machine: LeftMachine | None
    key: str | None
    client: str | None


@dataclass(frozen=True, slots=True)
class SpanList:
    """The newest requests first."""

    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class SpanShown:
    """One request."""

    span: Span


def list_spans(
    database: ServerDatabase,
    *,
    limit: int,
    since_s: float | None = None,
    route: str | None = None,
    status: int | None = None,
) -> SpanList:
    """The newest requests; ``since_s``: not older than so many seconds."""
    since = None if since_s is None else time.time() - since_s
    receipts = ReceiptStore(database).newest(limit, ReceiptFilter(since, route, status))
    return SpanList(tuple(map(span_of, receipts)))


def show_span(database: ServerDatabase, trace_id: str) -> SpanShown:
    """The request with that id, also a client's own one. Raises UsageError if there is none."""
    store = ReceiptStore(database)
    receipt = store.find(trace_id) or store.find(trace_id_of(trace_id))
    if receipt is None:
        raise UsageError(
            f"there is no request '{trace_id}'", hint="modelscan trace list", code="unknown_trace"
        )
    return SpanShown(span_of(receipt))


def span_of(receipt: Receipt) -> Span:
    """A receipt as it is printed."""
    left = receipt.left_machine_bytes
    finish = receipt.finish_reason
    return Span(
        trace_id=receipt.trace_id,
        started_at=text_of(receipt.at),
        duration_s=receipt.duration_s,
        operation=receipt.operation,
        requested_model=receipt.requested_model,
        route=receipt.route,
        role=receipt.role,
        provider=receipt.backend,
        served_model=receipt.served_model,
        endpoint_host=receipt.host,
        tier=receipt.tier,
        reasons=receipt.reasons,
        retries=receipt.retries,
        fallback_from=receipt.fallback_from,
        status=receipt.status,
        error_type=receipt.error,
        stream=receipt.stream,
        ttft_s=receipt.ttft_s,
        queue_s=receipt.queue_s,
        finish_reasons=() if finish is None else (finish,),
        usage=SpanUsage(
            receipt.input_tokens, receipt.output_tokens, receipt.cached_tokens,
            receipt.reasoning_tokens,
        ),
        left_machine=LeftMachine(left, receipt.host) if left else None,
        key=receipt.key,
        client=receipt.client,
    )  # fmt: skip
