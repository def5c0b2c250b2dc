"""The receipt of a request, from what its exchange counted."""

from __future__ import annotations

import time

from modelscan.core.receipt import Receipt
from modelscan.gateway.data.dispatch import Dispatch
from modelscan.gateway.data.errors import RefusedError
from modelscan.gateway.data.request import ClientRequest
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
    return Receipt(
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
        status=exchange.status,
        error=exchange.error,
        stream=plan.stream,
        ttft_s=exchange.first_at - exchange.started_at if exchange.first_at else None,
        duration_s=duration,
        queue_s=exchange.queued_s or None,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        finish_reason=finish,
        retries=max(0, exchange.attempts.made - 1) + exchange.tried_again,
        fallback_from=entry.name if route != entry.name else None,
        key=key.key.name if key is not None else None,
        client=exchange.client.address,
        bytes_in=exchange.request.received,
        bytes_out=answer.size if answer is not None else 0,
        left_machine_bytes=exchange.left_bytes,
        wake_s=exchange.wake_s or None,
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
    )
