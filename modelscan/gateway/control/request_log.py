"""A line of the log for each request: names, numbers and the id, never a prompt or a key. Pure."""

from __future__ import annotations

from typing import Any

from modelscan.core.receipt import Receipt
from modelscan.core.units import format_bytes
from modelscan.gateway.control.events import ServeEvent

_LONGEST = 120


def request_event(receipt: Receipt) -> ServeEvent:
    """What happened to a request. ``model`` is what the client sent, shortened."""
    values: dict[str, Any] = {
        "request_id": receipt.trace_id,
        "operation": receipt.operation,
        "model": _short(receipt.requested_model),
        "route": receipt.route,
        "backend": receipt.backend,
        "where": receipt.tier,
        "status": receipt.status,
        "error": receipt.error and _short(receipt.error),
        "stream": receipt.stream,
        "duration_s": _seconds(receipt.duration_s),
        "ttft_s": _seconds(receipt.ttft_s),
        "queue_s": _seconds(receipt.queue_s),
        "input_tokens": receipt.input_tokens,
        "output_tokens": receipt.output_tokens,
        "retries": receipt.retries,
        "fallback_from": receipt.fallback_from,
        "key": receipt.key,
        "client": receipt.client,
        "left_machine_bytes": receipt.left_machine_bytes,
    }
    return ServeEvent("request", _text(values), values)


def _text(values: dict[str, Any]) -> str:
    """The same as a sentence."""
    backend = f" -> {values['backend']}" if values["backend"] else ""
    parts = [f"{values['operation']} {values['model'] or '-'}{backend}: {values['status']}"]
    if values["error"]:
        parts.append(str(values["error"]))
    if values["duration_s"] is not None:
        parts.append(f"{values['duration_s']:g} s")
    if values["input_tokens"] is not None or values["output_tokens"] is not None:
        parts.append(f"{values['input_tokens'] or 0}+{values['output_tokens'] or 0} tokens")
    if values["left_machine_bytes"]:
        parts.append(f"{format_bytes(values['left_machine_bytes'])} left this machine")
    if values["key"]:
        parts.append(f"key {values['key']}")
    return f"{', '.join(parts)} ({values['request_id']})"


def _short(text: str) -> str:
    """One line of a client's own text, without control characters."""
    plain = "".join(one if one.isprintable() else "?" for one in text[:_LONGEST])
    return plain + ("…" if len(text) > _LONGEST else "")


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
