"""The percentile bootstrap: the interval of a statistic, from resamples of its values. Seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

CONFIDENCE = 0.95
RESAMPLES = 2000


def bootstrap(
    count: int,
    statistic: Callable[[Sequence[int]], float],
    *,
    seed: int = 7,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """The 95 % percentile interval of a statistic over ``count`` values.

    ``statistic`` receives the positions of a resample, which a seeded generator chooses.
    """
    source = random.Random(seed)  # noqa: S311 - statistics, no secrets
    positions = range(count)
    values = sorted(statistic(source.choices(positions, k=count)) for _ in range(resamples))
    cut = round(resamples * (1 - CONFIDENCE) / 2)
    return values[cut], values[-cut - 1]
