"""Traffic: who answers which name, how fast, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelscan.routing.listing import RoutedService
from modelscan.traces.spans import Span
from modelscan.web.charts.waterfall import phases
from modelscan.web.pages.courses import Courses
from modelscan.web.visit import View, Visit
from modelscan.web.words import whole

SPANS_OF = (("", "an hour", 3600), ("day", "a day", 86_400), ("week", "a week", 604_800))
PAGE, MOST = 50, 400
STATUSES = (("", "any"), ("ok", "answered"), ("failed", "refused or failed"))


def since_s(visit: Visit) -> int:
    """The seconds that the page looks back."""
    return next((s for name, _, s in SPANS_OF if name == visit.text("last")), SPANS_OF[0][2])


def view(
    visit: Visit, spans: Sequence[Span], services: Sequence[RoutedService], names: Sequence[str],
    courses: Courses,
) -> View:  # fmt: skip
    """The page; ``spans``: the newest requests first."""
    wanted = visit.text("status")
    rows = [
        one for one in spans
        if not wanted or (one.status < 400) == (wanted == "ok")
    ]  # fmt: skip
    shown = visit.number("limit", PAGE, 1, MOST)
    more = visit.link(limit=min(MOST, shown + PAGE)) if len(rows) > shown < MOST else None
    return View("traffic.html", {
        "title": "Traffic", "spans": rows[:shown], "services": services, "names": names,
        "periods": SPANS_OF, "statuses": STATUSES, "more": more, "cut": len(rows) > shown,
        "courses": courses, "failed": sum(one.status >= 400 for one in spans), "total": len(spans),
        "full": len(spans) >= MOST, "narrowed": bool(wanted or visit.text("route")),
    })  # fmt: skip


def request_view(visit: Visit, span: Span, *, kept: bool) -> View:
    """One request; ``kept``: whether its texts are kept, which the page itself never has."""
    rows = phases(span.duration_s or 0.0, span.queue_s, span.wake_s, span.ttft_s)
    return View("request.html", {"title": f"Request {span.trace_id[:8]}", "span": span,
                                 "phases": rows, "facts": _facts(span), "kept": kept})  # fmt: skip


def _facts(span: Span) -> list[tuple[str, Any]]:
    usage, left = span.usage, span.left_machine
    away = f"{left.bytes:,} bytes to {left.host}" if left else "nothing"
    return [
        ("Requested", span.requested_model), ("Route", span.route), ("Role", span.role),
        ("Answered by", span.provider), ("Model", span.served_model),
        ("Host", span.endpoint_host), ("Status", span.status), ("Error", span.error_type),
        ("Input tokens", whole(usage.input_tokens)), ("Output tokens", whole(usage.output_tokens)),
        ("From the cache", whole(usage.cached_tokens)),
        ("Finish", ", ".join(span.finish_reasons) or None),
        ("Retries", span.retries), ("Fallback from", span.fallback_from), ("Key", span.key),
        ("Client", span.client), ("Left this machine", away),
    ]  # fmt: skip
