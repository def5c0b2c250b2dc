"""The receipt of a request, from what its exchange counted."""

from __future__ import annotations

import time

from modelscan.core.receipt import Receipt
from modelscan.gateway.data.dispatch import Dispatch
from modelscan.gateway.data.errors import RefusedError
from modelscan.gateway.data.request import ClientRequest
from modelscan.gateway.data.tool_guard import decided
from modelscan.gateway.data.tools import ToolTail
from modelscan.gateway.data.usage import UNKNOWN


def receipt_of(exchange: Dispatch, trace_id: str, wall: float) -> Receipt:
    """``wall`` is the UNIX time now. No text of the prompt or of the answer is in it."""
    now = time.perf_counter()
    plan, attempt, answer = exchange.plan, exchange.attempt, exchange.answer
    entry = plan.route.entry
    duration = now - exchange.started_at
    key, spec = plan.key, attempt.backend.spec if attempt is not None else None
    route = attempt.route.entry.name if attempt is not None else entry.name
    usage, finish = (UNKNOWN, None) if answer is None else answer.tail.read()
    tail = None if plan.tail is None or answer is None else answer.tail
    called = tail.tools() if isinstance(tail, ToolTail) else ()
    left = exchange.left
    return Receipt(  # by position: names would cost as much again
        trace_id,
        wall - duration,
        plan.operation,
        plan.requested or "",
        route,
        entry.name if entry.kind == "role" else None,
        (*plan.reasons, *exchange.failures),
        None if attempt is None else attempt.model(plan) or plan.requested,
        None if spec is None else spec.name,
        None if spec is None else spec.host,
        None if spec is None else spec.tier,
        exchange.status,
        exchange.error,
        plan.stream,
        exchange.first_at - exchange.started_at if exchange.first_at else None,
        duration,
        exchange.queued_s or None,
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
        finish,
        max(0, exchange.attempts.made - 1) + exchange.tried_again,
        entry.name if route != entry.name else None,
        key.key.name if key is not None else None,
        exchange.client.address,
        exchange.request.received,
        answer.size if answer is not None else 0,
        0 if left is None else left.total(exchange.upload),
        () if left is None else tuple(left.hosts),
        () if left is None else left.kinds(exchange.upload),
        called,
        None if attempt is None else attempt.route.choice,
        None if attempt is None else attempt.route.depths[attempt.at],
        None if spec is None else spec.context_tokens,
        None if spec is None else spec.context_source,
        exchange.wake_s or None,
        exchange.request.own_id,
        decided(plan, called) if plan.guarded else None,
    )


def refusal_receipt(
    request: ClientRequest, refusal: RefusedError, trace_id: str, wall: float, client: str
) -> Receipt:
    """The receipt of a request that reached no backend."""
    key = request.facts.key
    return Receipt(
        trace_id=trace_id,
        at=wall,
        operation=request.operation or "other",
        requested_model="",
        status=refusal.cause.status,
        error=refusal.cause.code,
        key=key.key.name if key is not None else None,
        client=client,
        bytes_in=request.received,
        request_id=request.own_id,
    )
