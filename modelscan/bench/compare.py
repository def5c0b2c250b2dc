"""Two reports side by side: each quantity, the ratio, and the interval of the ratio. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

from modelscan.bench.distribution import ConfidenceInterval, Distribution
from modelscan.bench.report import BenchPoint, BenchReport
from modelscan.core.errors import UsageError

_Z = 1.959964
_LATENCIES = ("ttft_s", "tpot_s", "chunk_gap_s", "e2e_s", "queue_s")
_RATES = ("output_tokens_per_s", "requests_per_s", "goodput_requests_per_s")
_NO_DIFFERENCE = frozenset({
    "route", "endpoint", "host_load", "host_load_after", "foreign_requests", "service",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """Where b / a lies, from the intervals of both means (delta method on their logarithms)."""

    lower: float
    upper: float
    method: str = "delta"
    confidence: float = 0.95


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One quantity under one load. ``ratio`` is b / a. ``differs``: whether the interval excludes
    1; None: there is no interval."""

    metric: str
    concurrency: int | None
    rate: float | None
    a: float | None
    b: float | None
    ratio: float | None
    interval: RatioInterval | None
    differs: bool | None


@dataclass(frozen=True, slots=True)
class BenchCompared:
    """Two runs of one workload. ``differences``: what else differs between them."""

    a: str
    b: str
    workload: str
    rows: tuple[ComparedMetric, ...]
    differences: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def compare(a: BenchReport, b: BenchReport) -> BenchCompared:
    """The comparison. Raises UsageError where the workloads differ, or no load is in both."""
    if a.workload.hash != b.workload.hash:
        raise UsageError(
            f"the workloads differ: {_workload(a)} and {_workload(b)}",
            hint=f"modelscan bench show {a.report_id}",
            code="other_workload",
            details={"field": "workload.hash", "a": a.workload.hash, "b": b.workload.hash},
        )
    others = {(one.concurrency, one.rate): one for one in b.points}
    pairs = [
        (one, others[one.concurrency, one.rate])
        for one in a.points
        if (one.concurrency, one.rate) in others
    ]
    if not pairs:
        raise UsageError(
            f"no load is in both: {_loads(a)} and {_loads(b)}",
            hint=f"modelscan bench show {b.report_id}",
            code="other_load",
        )
    rows = tuple(row for first, second in pairs for row in _rows(first, second))
    limited = any(one.client_limited for pair in pairs for one in pair)
    warnings = ("the load generator was at its limit in one of the runs",) if limited else ()
    return BenchCompared(
        a.report_id, b.report_id, a.workload.name, rows, tuple(_differences(a, b)), warnings
    )


def _rows(a: BenchPoint, b: BenchPoint) -> Iterator[ComparedMetric]:
    for name in _LATENCIES:
        first, second = getattr(a, name), getattr(b, name)
        yield from _latency(a, name, first, second)
    for name in _RATES:
        first, second = getattr(a, name), getattr(b, name)
        intervals = [getattr(one, f"{name}_interval", None) for one in (a, b)]
        if first is not None or second is not None:
            yield _row(a, name, first, second, intervals[0], intervals[1])
    if a.pass_rate is not None or b.pass_rate is not None:
        yield _row(a, "pass_rate", a.pass_rate, b.pass_rate, None, None)


def _latency(
    point: BenchPoint, name: str, a: Distribution, b: Distribution
) -> Iterator[ComparedMetric]:
    """The mean with its interval, the median and the 95th percentile without one."""
    if not a.n and not b.n:
        return
    yield _row(point, f"{name}.mean", a.mean, b.mean, a.interval, b.interval)
    for percentile in ("p50", "p95"):
        first, second = getattr(a, percentile), getattr(b, percentile)
        if first is not None and second is not None:
            yield _row(point, f"{name}.{percentile}", first, second, None, None)


def _row(
    point: BenchPoint, name: str, a: float | None, b: float | None,
    of_a: ConfidenceInterval | None, of_b: ConfidenceInterval | None,
) -> ComparedMetric:  # fmt: skip
    ratio = b / a if a and b is not None else None
    interval = None
    if ratio and of_a and of_b and a and b:
        interval = _ratio_interval(ratio, _spread(a, of_a), _spread(b, of_b))
    return ComparedMetric(
        metric=name,
        concurrency=point.concurrency,
        rate=point.rate,
        a=a,
        b=b,
        ratio=None if ratio is None else round(ratio, 4),
        interval=interval,
        differs=None if interval is None else not interval.lower <= 1 <= interval.upper,
    )


def _spread(mean: float, interval: ConfidenceInterval) -> float:
    """The standard error of a mean's logarithm."""
    return (interval.upper - interval.lower) / (2 * _Z * mean)


def _ratio_interval(ratio: float, a: float, b: float) -> RatioInterval:
    half = _Z * math.hypot(a, b)
    return RatioInterval(round(ratio * math.exp(-half), 4), round(ratio * math.exp(half), 4))


def _differences(a: BenchReport, b: BenchReport) -> Iterator[str]:
    for one in fields(a.receipt):
        first, second = getattr(a.receipt, one.name), getattr(b.receipt, one.name)
        if first != second and one.name not in _NO_DIFFERENCE:
            yield f"{one.name}: {first if first is not None else 'unknown'} and " + (
                f"{second if second is not None else 'unknown'}"
            )


def _workload(report: BenchReport) -> str:
    one = report.workload
    lengths = f" {one.input_tokens}/{one.output_tokens}" if one.input_tokens else ""
    return f"{one.name}{lengths} (hash {one.hash})"


def _loads(report: BenchReport) -> str:
    return ",".join(
        str(one.concurrency) if one.concurrency else f"{one.rate}/s" for one in report.points
    )
