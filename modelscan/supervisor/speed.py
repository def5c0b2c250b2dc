"""How fast an engine answers, from two looks at its ``/metrics``: between them, and never before.

vLLM and SGLang have histograms of the duration of requests, of the first token and of the time
between two; llama.cpp has totals of tokens and of the seconds that they took, and no durations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelscan.supervisor.load import Requests, parse_requests, samples

_BUCKET = re.compile(r'^([a-zA-Z_:][\w:]*)_bucket\{[^}]*\ble="([^"]+)"[^}]*\}\s+([\d.eE+]+)', re.M)
_DURATION = ("vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds")
_FIRST = ("vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds")
_BETWEEN = (
    "vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds",
    "sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds",
)  # fmt: skip
_TOKENS, _SECONDS = "llamacpp:tokens_predicted_total", "llamacpp:tokens_predicted_seconds_total"
_CACHE = (
    "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "sglang:token_usage",
    "llamacpp:kv_cache_usage_ratio",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """One look: the sums of the samples by name, and the histograms' counts by upper bound."""

    totals: Mapping[str, float]
    buckets: Mapping[str, Mapping[float, float]]
    requests: Requests | None


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """Medians and means of the time between two looks; None: no request ended in it, or the engine
    does not measure it. ``kv_cache_used``: the share in use, 0..1, at the second look.
    """

    requests: Requests | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_s: float | None = None
    kv_cache_used: float | None = None


def parse_page(text: str) -> MetricsPage | None:
    """A page of metrics; None if it has none of a known engine."""
    totals: dict[str, float] = {}
    for name, value in samples(text):
        totals[name] = totals.get(name, 0.0) + value
    if not any(name.startswith(("vllm:", "sglang:", "llamacpp:")) for name in totals):
        return None
    buckets: dict[str, dict[float, float]] = {}
    for match in _BUCKET.finditer(text):
        bounds = buckets.setdefault(match[1], {})
        bound = _number(match[2])
        if bound is not None:
            bounds[bound] = bounds.get(bound, 0.0) + (_number(match[3]) or 0.0)
    return MetricsPage(totals, buckets, parse_requests(text))


def speed_between(before: MetricsPage | None, after: MetricsPage) -> EngineSpeed:
    """The figures of the time between two looks. A restarted engine counts from zero again: then
    the second look alone is what happened since.
    """
    since = None if before is None or _restarted(before, after) else before
    gap = _mean(_BETWEEN, since, after)
    first = _mean(_FIRST, since, after)
    return EngineSpeed(
        requests=after.requests,
        p50_ms=_milliseconds(_quantile(0.5, since, after)),
        p95_ms=_milliseconds(_quantile(0.95, since, after)),
        ttft_ms=_milliseconds(first),
        tokens_per_s=_rate(since, after) if not gap else round(1 / gap, 3),
        kv_cache_used=_used(after),
    )


def _restarted(before: MetricsPage, after: MetricsPage) -> bool:
    names = (f"{name}_count" for name in (*_DURATION, *_FIRST, *_BETWEEN))
    counters = [*names, _TOKENS]
    return any(after.totals.get(one, 0.0) < before.totals.get(one, 0.0) for one in counters)


def _mean(names: Iterable[str], before: MetricsPage | None, after: MetricsPage) -> float | None:
    for name in names:
        count = _grown(f"{name}_count", before, after)
        if count > 0:
            return _grown(f"{name}_sum", before, after) / count
    return None


def _rate(before: MetricsPage | None, after: MetricsPage) -> float | None:
    """llama.cpp: tokens of the answers by the seconds that the engine computed them."""
    tokens, seconds = _grown(_TOKENS, before, after), _grown(_SECONDS, before, after)
    return round(tokens / seconds, 3) if tokens > 0 and seconds > 0 else None


def _grown(name: str, before: MetricsPage | None, after: MetricsPage) -> float:
    return after.totals.get(name, 0.0) - (before.totals.get(name, 0.0) if before else 0.0)


def _quantile(share: float, before: MetricsPage | None, after: MetricsPage) -> float | None:
    """Seconds, by linear interpolation in a bucket as Prometheus does it; above the last bound the
    bound itself.
    """
    name = next((one for one in _DURATION if one in after.buckets), None)
    if name is None:
        return None
    old = before.buckets.get(name, {}) if before else {}
    bounds = sorted((le, count - old.get(le, 0.0)) for le, count in after.buckets[name].items())
    total = bounds[-1][1] if bounds else 0.0
    if total <= 0:
        return None
    low = done = 0.0
    for bound, count in bounds:
        if count >= share * total:
            if bound == float("inf"):
                return low
            inside = count - done
            return low + (bound - low) * ((share * total - done) / inside if inside else 0.0)
        low, done = bound, count
    return low


def _used(page: MetricsPage) -> float | None:
    value = next((page.totals[name] for name in _CACHE if name in page.totals), None)
    return value if value is not None and 0 <= value <= 1 else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@dataclass(slots=True)
class SpeedHistory:
    """The last look at each engine, by its address, and the last figures that were not empty.

    An engine that is idle keeps what it measured last: the medians of its last requests.
    """

    _pages: dict[str, MetricsPage] = field(default_factory=dict)
    _last: dict[str, EngineSpeed] = field(default_factory=dict)

    def look(self, address: str, text: str) -> EngineSpeed | None:
        """The figures since the look before; None where the engine has no metrics."""
        page = parse_page(text)
        if page is None:
            self._pages.pop(address, None)
            return None
        before = self._pages.get(address)
        self._pages[address] = page
        speed = speed_between(before, page)
        kept = self._last.get(address)
        if before is not None and _restarted(before, page):
            kept = None
        merged = speed if kept is None else _merged(kept, speed)
        self._last[address] = merged
        return merged

    def keep_only(self, addresses: Iterable[str]) -> None:
        """Forget the engines that are gone."""
        kept = set(addresses)
        self._pages = {one: page for one, page in self._pages.items() if one in kept}
        self._last = {one: speed for one, speed in self._last.items() if one in kept}


def _merged(before: EngineSpeed, now: EngineSpeed) -> EngineSpeed:
    def newest(name: str) -> float | None:
        value: float | None = getattr(now, name)
        older: float | None = getattr(before, name)
        return older if value is None else value

    return EngineSpeed(
        now.requests, newest("p50_ms"), newest("p95_ms"), newest("ttft_ms"),
        newest("tokens_per_s"), now.kv_cache_used,
    )  # fmt: skip
