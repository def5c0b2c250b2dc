"""A gateway's ``/metrics`` page, read back: its samples by name and labels. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.definitions import MetricDefinition

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?$")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class GatewayPage:
    """One look at a gateway's metrics; ``at``: seconds of a monotonic clock."""

    at: float
    samples: tuple[Sample, ...]

    def of(self, definition: MetricDefinition) -> Iterator[Sample]:
        """The samples of a metric that is no histogram."""
        name = definition.series[0]
        return (one for one in self.samples if one.name == name)

    def by(self, definition: MetricDefinition, label: str, **only: str) -> dict[str, float]:
        """A metric's values added up by one label; ``only``: those with these labels."""
        sums: dict[str, float] = {}
        for one in self.of(definition):
            if only.items() <= one.labels.items():
                name = one.labels.get(label, "")
                sums[name] = sums.get(name, 0.0) + one.value
        return sums

    def total(self, definition: MetricDefinition, **only: str) -> float | None:
        """The sum of a metric's values; None: the gateway has none."""
        values = [one.value for one in self.of(definition) if only.items() <= one.labels.items()]
        return sum(values) if values else None

    @property
    def version(self) -> str | None:
        """The gateway's version; None: the page is not one of modelscan's."""
        return next((one.labels.get("version") for one in self.of(d.BUILD)), None)


def read_page(text: str, at: float) -> GatewayPage:
    """The samples of a page; a line that is none is left out."""
    return GatewayPage(at, tuple(_samples(text)))


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = {name: _plain(text) for name, text in _LABEL.findall(match[2] or "")}
        yield Sample(match[1], labels, value)


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
