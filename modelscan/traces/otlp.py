"""Spans in OTLP's JSON form, with OpenTelemetry's names for generative AI. Pure.

64-bit integers are texts, doubles and enums are numbers; other names begin with ``modelscan.``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
_CLIENT, _OK, _ERROR = 3, 1, 2
# The operations as the conventions name them; another one keeps its name.
_OPERATIONS = {"completions": "text_completion", "responses": "chat", "messages": "chat"}


def otlp_span(span: Mapping[str, Any]) -> dict[str, Any]:
    """A span (the JSON form of ``spans.Span``) in OTLP's form."""
    start = _nanoseconds(span["started_at"])
    failed = span["status"] >= 400 or span["error_type"] is not None
    operation = operation_name(span["operation"])
    document: dict[str, Any] = {
        "traceId": span["trace_id"],
        "spanId": span["span_id"],
        "name": f"{operation} {span['requested_model']}".strip(),
        "kind": _CLIENT,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + round((span["duration_s"] or 0.0) * 1e9)),
        "attributes": attributes(_values(span, operation)),
        "status": {"code": _ERROR, "message": span["error_type"] or f"status {span['status']}"}
        if failed
        else {"code": _OK},
    }
    if span["parent_span_id"]:
        document["parentSpanId"] = span["parent_span_id"]
    return document


def operation_name(operation: str) -> str:
    """``gen_ai.operation.name`` of an operation."""
    return _OPERATIONS.get(operation, operation)


def scope_spans(spans: Iterable[Mapping[str, Any]], version: str) -> dict[str, Any]:
    """A batch of spans of one scope."""
    return {
        "scope": {"name": "modelscan", "version": version},
        "spans": [otlp_span(one) for one in spans],
        "schemaUrl": SCHEMA_URL,
    }


def resource(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the spans come from."""
    return {"attributes": attributes(values.items())}


def attributes(values: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Keys and values; an unknown value has no attribute."""
    return [{"key": key, "value": _any(value)} for key, value in values if value is not None]


def _any(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, (list, tuple)):
        return {"arrayValue": {"values": [_any(one) for one in value]}}
    return {"stringValue": value if isinstance(value, str) else json.dumps(value)}


def _nanoseconds(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def _values(span: Mapping[str, Any], operation: str) -> Iterator[tuple[str, Any]]:
    usage = span["usage"]
    yield "gen_ai.operation.name", operation
    yield "gen_ai.provider.name", _provider(span)
    yield "gen_ai.request.model", span["requested_model"] or None
    yield "gen_ai.response.model", span["served_model"]
    yield "gen_ai.request.stream", span["stream"]
    yield "gen_ai.response.finish_reasons", span["finish_reasons"] or None
    yield "gen_ai.usage.input_tokens", usage["input_tokens"]
    yield "gen_ai.usage.output_tokens", usage["output_tokens"]
    yield "gen_ai.usage.cache_read.input_tokens", usage["cached_tokens"]
    yield "gen_ai.usage.reasoning.output_tokens", usage["reasoning_tokens"]
    yield "gen_ai.response.time_to_first_chunk", _double(span["ttft_s"])
    yield "server.address", span["endpoint_host"]
    yield "error.type", span["error_type"] or _status_text(span["status"])
    yield "http.response.status_code", span["status"]
    yield from _own(span)
    yield from _content(span["content"])


def _provider(span: Mapping[str, Any]) -> str | None:
    value = span["provider"]
    return value if isinstance(value, str) else None


def _own(span: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("operation", "route", "role", "provider", "tier", "depth", "retries",
                 "fallback_from", "price_source", "key", "prefix_hit"):  # fmt: skip
        yield f"modelscan.{name}", span[name]
    yield "modelscan.reasons", span["reasons"] or None
    yield "modelscan.queue_s", _double(span["queue_s"])
    yield "modelscan.cost_usd", _double(span["cost_usd"])
    context, left = span["context"], span["left_machine"]
    if context is not None:
        yield "modelscan.context_used_tokens", context["used_tokens"]
        yield "modelscan.context_window_tokens", context["window_tokens"]
        yield "modelscan.context_used_ratio", _double(context["ratio"])
        yield "modelscan.context_warned", context["warned"]
    yield "modelscan.left_machine", left is not None
    if left is not None:
        yield "modelscan.left_machine.bytes", left["bytes"]
        yield "modelscan.left_machine.kinds", left["kinds"]
        yield "modelscan.left_machine.hosts", left["hosts"]
    for tool in span["tools"]:
        yield f"modelscan.tool_calls.{tool['name']}", tool["calls"]
    for one in span["approvals"] or ():
        yield f"modelscan.tool_approvals.{one['tool']}", f"{one['decision']} ({one['policy']})"


def _status_text(status: int) -> str | None:
    return str(status) if status >= 400 else None


def _double(value: float | None) -> float | None:
    return None if value is None else float(value)


def _content(content: Mapping[str, Any] | None) -> Iterator[tuple[str, Any]]:
    """Texts, only where they are exported."""
    if content is None:
        return
    messages = content.get("messages") or []
    yield "gen_ai.input.messages", json.dumps([_parts(one) for one in messages])
    if content.get("answer"):
        yield "gen_ai.output.messages", json.dumps([_parts(content["answer"])])
    if content.get("tools"):
        yield "gen_ai.tool.definitions", json.dumps(content["tools"])


def _parts(message: Mapping[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if message["role"] == "tool":
        parts.append({"type": "tool_call_response", "id": message.get("tool_call_id"),
                      "response": message["content"]})  # fmt: skip
    elif message["content"]:
        parts.append({"type": "text", "content": message["content"]})
    for call in message.get("tool_calls", ()):
        function = call["function"]
        parts.append({"type": "tool_call", "id": call["id"], "name": function["name"],
                      "arguments": function["arguments"]})  # fmt: skip
    return {"role": message["role"], "parts": parts}
