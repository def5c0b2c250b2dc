"""Traffic: who answers which name, how fast, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelscan.routing.listing import RoutedService
from modelscan.traces.spans import Span
from modelscan.web.charts.waterfall import phases
from modelscan.web.visit import View, Visit

SPANS_OF = (("", "an hour", 3600), ("day", "a day", 86_400), ("week", "a week", 604_800))
STATUSES = (("", "any"), ("ok", "answered"), ("failed", "refused or failed"))


def since_s(visit: Visit) -> int:
    """The seconds that the page looks back."""
    return next((s for name, _, s in SPANS_OF if name == visit.text("last")), SPANS_OF[0][2])


def view(
    visit: Visit, spans: Sequence[Span], services: Sequence[RoutedService], names: Sequence[str]
) -> View:
    """The page; ``spans``: the newest requests first."""
    wanted = visit.text("status")
    rows = [
        one for one in spans
        if not wanted or (one.status < 400) == (wanted == "ok")
    ]  # fmt: skip
    return View("traffic.html", {
        "title": "Traffic", "spans": rows[:100], "services": services, "names": names,
        "periods": SPANS_OF, "statuses": STATUSES, "more": len(rows) > 100,
        "failed": sum(one.status >= 400 for one in spans), "total": len(spans),
    })  # fmt: skip


def request_view(visit: Visit, span: Span) -> View:
    """One request."""
    rows = phases(span.duration_s or 0.0, span.queue_s, span.wake_s, span.ttft_s)
    return View("request.html", {"title": f"Request {span.trace_id[:8]}", "span": span,
                                 "phases": rows, "facts": _facts(span)})  # fmt: skip


def _facts(span: Span) -> list[tuple[str, Any]]:
    usage, left = span.usage, span.left_machine
    away = f"{left.bytes:,} bytes to {left.host}" if left else "nothing"
    return [
        ("Asked for", span.requested_model), ("Route", span.route), ("Role", span.role),
        ("Answered by", span.provider), ("Model", span.served_model),
        ("Host", span.endpoint_host), ("Status", span.status), ("Error", span.error_type),
        ("Input tokens", usage.input_tokens), ("Output tokens", usage.output_tokens),
        ("From the cache", usage.cached_tokens), ("Finish", ", ".join(span.finish_reasons) or None),
        ("Retries", span.retries), ("Fallback from", span.fallback_from), ("Key", span.key),
        ("Client", span.client), ("Left this machine", away),
    ]  # fmt: skip
