"""Metrics as text for Prometheus: its own format, or OpenMetrics where the reader accepts it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from modelscan.gateway.metrics.families import HistogramValue, MetricFamily


def exposition(families: Iterable[MetricFamily], accept: str) -> tuple[bytes, str]:
    """The page and its content type, for the reader's Accept header."""
    from prometheus_client.exposition import choose_encoder

    encode, kind = choose_encoder(accept)
    page: Any = _Page(tuple(families))
    return encode(page), kind


class _Page:
    """What the library's encoders read: an object with ``collect``."""

    def __init__(self, families: Sequence[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Any]:
        """The library's own families."""
        from prometheus_client.metrics_core import Metric

        for family in self._families:
            definition = family.definition
            metric = Metric(definition.name, definition.help, definition.kind)
            for labels, value in family.values.items():
                names = dict(zip(definition.labels, labels, strict=True))
                if isinstance(value, HistogramValue):
                    _histogram(metric, names, value)
                else:
                    metric.add_sample(definition.series[0], names, value)
            yield metric


def _histogram(metric: Any, labels: dict[str, str], value: HistogramValue) -> None:
    from prometheus_client.utils import floatToGoString

    bounds = [*map(floatToGoString, value.bounds), "+Inf"]
    for bound, count in zip(bounds, accumulate(value.counts), strict=True):
        metric.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    metric.add_sample(f"{metric.name}_count", labels, value.count)
    metric.add_sample(f"{metric.name}_sum", labels, value.total)
