"""Rates and latencies over time, as columns: from receipts, and from what was sampled."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from modelscan.core.receipt import Receipt
from modelscan.web.live import LiveSample

Column = tuple[float | None, ...]
MOST_POINTS, MOST_RECEIPTS = 600, 50_000


@dataclass(frozen=True, slots=True)
class Series:
    """Columns of equal length; ``t``: the beginning of each interval, UNIX time; None: unknown.

    ``tokens_per_s``: output tokens of requests that ended in the interval, ``ttft_…`` and
    ``latency_…`` of these in seconds, ``errors_per_s``: those that were refused or failed.
    """

    of: str | None
    step_s: float
    t: tuple[float, ...]
    requests_per_s: Column
    tokens_per_s: Column
    errors_per_s: Column
    ttft_p50_s: Column
    ttft_p95_s: Column
    latency_p50_s: Column
    latency_p95_s: Column
    waiting: Column
    kv_cache_used: Column
    running: Column
    warnings: tuple[str, ...] = field(default=())


@dataclass(slots=True)
class _Bucket:
    requests: int = 0
    tokens: int = 0
    errors: int = 0
    ttft: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)


def series(
    of: str | None, receipts: Iterable[Receipt], samples: Sequence[LiveSample], now: float,
    last_s: float, points: int,
) -> Series:  # fmt: skip
    """The last ``last_s`` seconds in ``points`` intervals."""
    step = last_s / points
    first = now - last_s
    buckets = [_Bucket() for _ in range(points)]
    for receipt in receipts:
        number = int((receipt.at + (receipt.duration_s or 0) - first) / step)
        if 0 <= number < points:
            _count(buckets[number], receipt)
    times = tuple(round(first + number * step, 3) for number in range(points))
    gauges = _gauges(of, samples, times, step)
    return Series(
        of=of,
        step_s=step,
        t=times,
        requests_per_s=_short(one.requests / step for one in buckets),
        tokens_per_s=_short(one.tokens / step for one in buckets),
        errors_per_s=_short(one.errors / step for one in buckets),
        ttft_p50_s=_short(quantile(one.ttft, 0.5) for one in buckets),
        ttft_p95_s=_short(quantile(one.ttft, 0.95) for one in buckets),
        latency_p50_s=_short(quantile(one.latency, 0.5) for one in buckets),
        latency_p95_s=_short(quantile(one.latency, 0.95) for one in buckets),
        waiting=gauges["waiting"],
        kv_cache_used=gauges["kv_cache_used"],
        running=gauges["running"],
    )


def _short(values: Iterable[float | None]) -> Column:
    """Four significant digits: more cannot be seen, and would be most of the answer's bytes."""
    return tuple(None if value is None else float(f"{value:.4g}") for value in values)


def _count(bucket: _Bucket, receipt: Receipt) -> None:
    bucket.requests += 1
    bucket.tokens += receipt.output_tokens or 0
    bucket.errors += receipt.status >= 400
    if receipt.ttft_s is not None:
        bucket.ttft.append(receipt.ttft_s)
    if receipt.duration_s is not None and receipt.status < 400:
        bucket.latency.append(receipt.duration_s)


def quantile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank quantile; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _gauges(
    of: str | None, samples: Sequence[LiveSample], times: Sequence[float], step: float
) -> dict[str, Column]:
    """The last sample in each interval."""
    names = ("waiting", "kv_cache_used", "running")
    columns: dict[str, list[float | None]] = {name: [None] * len(times) for name in names}
    for sample in samples if of is not None else ():
        row = sample.services.get(str(of))
        number = bisect_right(times, sample.at) - 1
        if row is None or number < 0 or sample.at >= times[-1] + step:
            continue
        for name in names:
            columns[name][number] = getattr(row, name)
    return {name: tuple(column) for name, column in columns.items()}
