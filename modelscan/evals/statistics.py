"""Intervals of scores and of differences. Pure; resampling is seeded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelscan.bench.resampling import bootstrap

_Z = 1.959963984540054  # the normal quantile of 0.975


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share of n tasks (Wilson 1927); (0, 1) without tasks.

    A share that is a mean of partial grades is treated alike: its interval is then too wide.
    """
    if n <= 0:
        return 0.0, 1.0
    denominator = 1 + _Z * _Z / n
    middle = (share + _Z * _Z / (2 * n)) / denominator
    half = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n)) / denominator
    return max(0.0, middle - half), min(1.0, middle + half)


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; 0 without values."""
    return sum(values) / len(values) if values else 0.0


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, seed: int = 7
) -> tuple[float, float]:
    """The interval of mean(a) - mean(b) over the same tasks: tasks are resampled in pairs."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return bootstrap(
        len(differences), lambda chosen: mean([differences[i] for i in chosen]), seed=seed
    )


def f1(found: int, seeded: int, right: int, reported: int) -> float:
    """The harmonic mean of recall (found / seeded) and precision (right / reported)."""
    recall = found / seeded if seeded else 0.0
    precision = right / reported if reported else 0.0
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
