"""Requests and what is recorded, as lines for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.traces.answers import TraceStatus
    from modelscan.traces.spans import Span, SpanContext

_DAY_S = 86_400.0


def row(span: Span) -> tuple[object, ...]:
    """A line of ``trace list``."""
    context = span.context
    return (
        span.trace_id, span.started_at, span.requested_model, span.provider, span.tier,
        span.status, span.usage.input_tokens, span.usage.output_tokens, span.duration_s,
        span.cost_usd, None if context is None else f"{context.ratio:.0%}",
    )  # fmt: skip


def pairs(span: Span) -> list[tuple[str, object]]:
    """The fields of ``trace show``."""
    plain = (
        "trace_id", "started_at", "duration_s", "ttft_s", "queue_s", "wake_s",
        "operation", "requested_model",
        "route", "role", "provider", "served_model", "endpoint_host", "tier", "depth", "status",
        "error_type", "fallback_from", "retries", "stream", "key", "client",
    )  # fmt: skip
    usage = span.usage
    return [
        *((name, getattr(span, name)) for name in plain),
        *(("reason", reason) for reason in span.reasons),
        ("finish", ", ".join(span.finish_reasons) or None),
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("cached_tokens", usage.cached_tokens),
        ("reasoning_tokens", usage.reasoning_tokens),
        ("context", _context(span.context)),
        ("tools", ", ".join(f"{one.name} ({one.calls})" for one in span.tools) or "none called"),
        ("approvals", _approvals(span)),
        ("cost_usd", span.cost_usd),
        ("price", span.price_source),
        ("left_machine", _left(span)),
        *_texts(span),
    ]


def _context(context: SpanContext | None) -> str | None:
    if context is None:
        return None
    warning = ", close to its end" if context.warned else ""
    source = f" ({context.source})" if context.source else ""
    return (
        f"{context.used_tokens:,} of {context.window_tokens:,} tokens, {context.ratio:.0%}"
        f"{warning}{source}"
    )


def _approvals(span: Span) -> str:
    if span.approvals is None:
        return "none: no tool policy applies, or no tool was offered"
    return ", ".join(f"{one.tool}: {one.decision} ({one.policy})" for one in span.approvals)


def _left(span: Span) -> str:
    left = span.left_machine
    if left is None:
        return "nothing"
    kinds = f" ({', '.join(left.kinds)})" if left.kinds else ""
    return f"{left.bytes:,} bytes{kinds} to {', '.join(left.hosts)}"


def _texts(span: Span) -> Iterator[tuple[str, object]]:
    content = span.content
    if content is None:
        yield "content", "not kept"
        return
    for message in content["messages"] or ():
        yield str(message["role"]), message["content"]
    answer = content["answer"]
    if answer is not None:
        yield "answer", answer["content"] or json.dumps(answer.get("tool_calls", []))
    if content["cut"]:
        yield "content", "cut: longer than 2 MiB"


def status_pairs(status: TraceStatus) -> list[tuple[str, object]]:
    """The fields of ``trace status``."""
    chosen = status.content_of
    whose = [
        *(["every request"] if chosen.everything else []),
        *(f"route {name}" for name in chosen.routes),
        *(f"key {name}" for name in chosen.keys),
    ]  # fmt: skip
    return [
        ("receipts", "on" if status.receipts else "off"),
        ("content", f"kept of {', '.join(whose)}" if whose else "off: no text is kept"),
        ("stored_receipts", status.stored_receipts),
        ("oldest_at", status.oldest_at),
        ("stored_contents", status.stored_contents),
        ("content_size", format_bytes(status.content_bytes)),
        ("receipt_size", format_bytes(status.receipt_bytes)),
        ("receipts_stay", f"{status.keep_receipts_s / _DAY_S:g} days, and at "
         f"most {format_bytes(status.keep_receipts_bytes)}"),
        ("content_stays", f"{status.keep_contents_s / _DAY_S:g} days"),
        ("file", status.file),
        ("sent", "nothing: requests are recorded on this machine only"),
    ]  # fmt: skip
