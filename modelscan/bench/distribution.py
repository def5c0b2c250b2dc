"""Means, percentiles and confidence intervals of measurements. Pure.

Percentiles are linear (rank ``p * (n - 1)``), and None where n is too small for one: p90 needs 10
values, p99 needs 100. The interval of a mean has 95 % confidence. With repeats it is Student's t
over the repeats' means, else a percentile bootstrap over the requests (1,000 resamples, seeded),
and for more than 200 requests the normal approximation, which equals it there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelscan.bench.resampling import CONFIDENCE, bootstrap

_Z = 1.959964
_RESAMPLES, _MOST_RESAMPLED = 1_000, 200
_FEWEST: dict[int, int] = {50: 2, 90: 10, 95: 20, 99: 100}
# Student's t for 97.5 %, by degrees of freedom; the next smaller one is used (a wider interval).
_T = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262,
    10: 2.228, 12: 2.179, 15: 2.131, 20: 2.086, 30: 2.042, 60: 2.000, 120: 1.980,
}  # fmt: skip

IntervalMethod = Literal["t_over_repeats", "bootstrap", "normal"]


@dataclass(frozen=True, slots=True)
class ConfidenceInterval:
    """Where the mean lies with this confidence."""

    lower: float
    upper: float
    method: IntervalMethod
    confidence: float = CONFIDENCE


@dataclass(frozen=True, slots=True)
class Distribution:
    """The values of one quantity over ``n`` requests; None: no value, or too few for it.

    ``interval`` is that of the mean.
    """

    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    n: int = 0
    interval: ConfidenceInterval | None = None


def distribution(groups: Sequence[Sequence[float]], seed: int = 0) -> Distribution:
    """The distribution of all values; ``groups``: those of each repeat."""
    values = sorted(value for group in groups for value in group)
    if not values:
        return Distribution()
    p50, p90, p95, p99 = (percentile(values, percent) for percent in _FEWEST)
    return Distribution(
        mean=_rounded(statistics.fmean(values)),
        p50=p50, p90=p90, p95=p95, p99=p99,
        min=_rounded(values[0]), max=_rounded(values[-1]), n=len(values),
        interval=interval(groups, seed),
    )  # fmt: skip


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The percentile of sorted values, linear; None for fewer than 1 / (1 - p) values."""
    if len(ordered) < _FEWEST[percent]:
        return None
    rank = percent / 100 * (len(ordered) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(ordered) - 1)
    return _rounded(ordered[low] + (rank - low) * (ordered[high] - ordered[low]))


def interval(groups: Sequence[Sequence[float]], seed: int = 0) -> ConfidenceInterval | None:
    """The interval of the mean, by the module's methods; None for fewer than 2 values."""
    filled = [group for group in groups if group]
    if len(filled) > 1:
        return over_repeats([statistics.fmean(group) for group in filled])
    values = filled[0] if filled else ()
    if len(values) < 2:
        return None
    if len(values) > _MOST_RESAMPLED:
        middle = statistics.fmean(values)
        half = _Z * statistics.stdev(values) / math.sqrt(len(values))
        return _interval(middle - half, middle + half, "normal")
    lower, upper = bootstrap(
        len(values), lambda chosen: sum(values[at] for at in chosen) / len(chosen),
        seed=seed, resamples=_RESAMPLES,
    )  # fmt: skip
    return _interval(lower, upper, "bootstrap")


def over_repeats(means: Sequence[float]) -> ConfidenceInterval | None:
    """Student's t over the values of the repeats; None for fewer than 2."""
    if len(means) < 2:
        return None
    freedom = max(one for one in _T if one <= len(means) - 1)
    half = _T[freedom] * statistics.stdev(means) / math.sqrt(len(means))
    middle = statistics.fmean(means)
    return _interval(middle - half, middle + half, "t_over_repeats")


def _interval(lower: float, upper: float, method: IntervalMethod) -> ConfidenceInterval:
    return ConfidenceInterval(_rounded(lower), _rounded(upper), method)


def _rounded(value: float) -> float:
    """To nanoseconds: what is beyond is noise of the arithmetic."""
    return round(value, 9)
