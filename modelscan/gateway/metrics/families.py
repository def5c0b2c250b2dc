"""Values of metrics at one time, apart from how they are written. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelscan.gateway.metrics.definitions import MetricDefinition

Labels = tuple[str, ...]


@dataclass(slots=True)
class HistogramValue:
    """``counts`` per bucket, not added up; the last one is above every bound."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        if not self.counts:
            self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value: a bucket includes its bound."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)


Value = float | HistogramValue


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric with its values, by the values of its labels."""

    definition: MetricDefinition
    values: Mapping[Labels, Value]


def one(definition: MetricDefinition, value: float) -> MetricFamily:
    """A metric without labels."""
    return MetricFamily(definition, {(): value})


def by_label(
    definition: MetricDefinition, values: Iterable[tuple[str | Sequence[str], float | None]]
) -> MetricFamily:
    """A metric with labels; a value that is not known is absent."""
    return MetricFamily(
        definition,
        {
            (labels,) if isinstance(labels, str) else tuple(labels): value
            for labels, value in values
            if value is not None
        },
    )
