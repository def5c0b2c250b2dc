"""A receipt as a span: what is stored, and what is computed from it when it is read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from modelscan.core.receipt import Approval, Depth, Receipt, ToolUse
from modelscan.routing.table import ContextSource, Tier
from modelscan.state.clock import text_of

WARN_RATIO = 0.8
"""Of the served context: from here on a request is shown as close to the limit."""


@dataclass(frozen=True, slots=True)
class SpanUsage:
    """Tokens of a request; None: the server did not say. The cached ones are among the input."""

    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None


@dataclass(frozen=True, slots=True)
class SpanContext:
    """Input and output tokens of the served context. ``source``: who states the window;
    ``warned``: at least 80 % are used."""

    used_tokens: int
    window_tokens: int
    ratio: float
    source: ContextSource | None
    warned: bool


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool that the model called, and how often. Its arguments are not recorded."""

    name: str
    calls: int


@dataclass(frozen=True, slots=True)
class ToolApproval:
    """A decision of a tool policy about a tool that was offered or called."""

    tool: str
    decision: Approval
    policy: str


@dataclass(frozen=True, slots=True)
class LeftMachine:
    """What was sent to hosts that are not this machine: bytes of the request's body, over all
    attempts. ``kinds``: text, tools, images, audio, files. ``host``: the last of ``hosts``."""

    bytes: int
    kinds: tuple[str, ...]
    host: str | None
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One request; times in seconds, ``started_at`` in UTC.

    ``depth``: small (a model of at most 4 B parameters), fast (thinking is switched off), full;
    None: the model's size is not known. ``approvals`` None: no tool policy applied.
    ``cost_usd`` None: unknown; ``price_source`` says why. ``prefix_hit``: whether the server had a
    part of the prompt in its cache. ``content``: only where texts were kept and are requested.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
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
    depth: Depth | None
    reasons: tuple[str, ...]
    retries: int
    fallback_from: str | None
    status: int
    error_type: str | None
    stream: bool
    ttft_s: float | None
    queue_s: float | None
    wake_s: float | None
    finish_reasons: tuple[str, ...]
    usage: SpanUsage
    prefix_hit: bool | None
    cost_usd: float | None
    price_source: str | None
    context: SpanContext | None
    tools: tuple[ToolCalled, ...]
    approvals: tuple[ToolApproval, ...] | None
    left_machine: LeftMachine | None
    key: str | None
    client: str | None
    content: dict[str, Any] | None = None


Cost = tuple[float | None, str | None]
Price = Callable[[Receipt], Cost]


def unpriced(_: Receipt) -> Cost:
    """Where no price is looked up."""
    return None, None


def span_of(
    receipt: Receipt, price: Price = unpriced, content: dict[str, Any] | None = None
) -> Span:
    """A receipt as it is printed."""
    cost, source = price(receipt)
    cached = receipt.cached_tokens
    finish = receipt.finish_reason
    return Span(
        trace_id=receipt.trace_id,
        span_id=span_id_of(receipt.trace_id),
        parent_span_id=None,
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
        depth=receipt.depth,
        reasons=tuple(reasons_of(receipt)),
        retries=receipt.retries,
        fallback_from=receipt.fallback_from,
        status=receipt.status,
        error_type=receipt.error,
        stream=receipt.stream,
        ttft_s=receipt.ttft_s,
        queue_s=receipt.queue_s,
        wake_s=receipt.wake_s,
        finish_reasons=() if finish is None else (finish,),
        usage=SpanUsage(
            receipt.input_tokens, receipt.output_tokens, cached, receipt.reasoning_tokens
        ),
        prefix_hit=None if cached is None else cached > 0,
        cost_usd=cost,
        price_source=source,
        context=_context(receipt),
        tools=tuple(_called(tool) for tool in receipt.tools),
        approvals=_approvals(receipt),
        left_machine=_left(receipt),
        key=receipt.key,
        client=receipt.client,
        content=content,
    )


def span_id_of(trace_id: str) -> str:
    """16 hexadecimal digits: the end of the trace's id, which counts up."""
    return trace_id[-16:]


def reasons_of(receipt: Receipt) -> Iterator[str]:
    """Why the request went where it went, as sentences: the name, the rule, the failures."""
    choice = receipt.choice
    if choice is not None:
        name = receipt.requested_model or "no model"
        said = "" if receipt.requested_model else " (the default)"
        kind = {"model": "a model", "alias": "an alias"}.get(choice.kind, f"a {choice.kind}")
        route = receipt.route or name
        yield f"'{route}' is {kind}{said}"
        if choice.candidates > 1:
            yield f"{choice.strategy} chose {receipt.backend} of {choice.candidates} entries"
        else:
            yield f"{receipt.backend} is its only entry"
    yield from receipt.reasons
    if receipt.fallback_from is not None:
        yield f"'{receipt.fallback_from}' had no entry that could answer: fallback"


def _called(tool: ToolUse) -> ToolCalled:
    return ToolCalled(tool.name, tool.calls)


def _approvals(receipt: Receipt) -> tuple[ToolApproval, ...] | None:
    if receipt.approvals is None:
        return None
    return tuple(ToolApproval(*one) for one in receipt.approvals)


def _context(receipt: Receipt) -> SpanContext | None:
    window = receipt.window_tokens
    if not window or receipt.input_tokens is None:
        return None
    used = receipt.input_tokens + (receipt.output_tokens or 0)
    ratio = round(used / window, 4)
    source: Any = receipt.window_source
    return SpanContext(used, window, ratio, source, used / window >= WARN_RATIO)


def _left(receipt: Receipt) -> LeftMachine | None:
    if not receipt.left_machine_bytes:
        return None
    # Receipts of the first release name only the last host, which may be another one.
    hosts = receipt.left_hosts or tuple(filter(None, (receipt.host,)))
    last = hosts[-1] if hosts else None
    return LeftMachine(receipt.left_machine_bytes, receipt.left_kinds, last, hosts)
