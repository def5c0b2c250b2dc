"""Metrics in the JSON form of OTLP (ExportMetricsServiceRequest). Pure.

Names and attributes of requests are those of OpenTelemetry's conventions for generative AI, all
others begin with ``modelscan.``. Sums count from the start of the gateway (cumulative).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.definitions import MetricDefinition
from modelscan.gateway.metrics.families import HistogramValue, Labels, MetricFamily
from modelscan.traces.otlp import attributes, operation_name
from modelscan.traces.otlp import resource as resource_of

_CUMULATIVE = 2
_UNITS = {"seconds": "s", "bytes": "By", "tokens": "{token}", "ratio": "1", "": "1"}
_UNIT_AT_END = re.compile(r"_(seconds|bytes|ratio)$")
_TOKEN_TYPES = {d.INPUT_TOKENS.name: "input", d.OUTPUT_TOKENS.name: "output"}
_ATTRIBUTES = {"route": "gen_ai.request.model", "operation": "gen_ai.operation.name"}


@dataclass(frozen=True, slots=True)
class OtlpResource:
    """Who reports: ``instance`` tells gateways apart; times are UNIX seconds.

    ``engines``: which program serves, by the backend's name.
    """

    version: str
    instance: str
    started_at: float
    engines: Mapping[str, str]


def metrics_request(
    families: Iterable[MetricFamily], resource: OtlpResource, now: float
) -> dict[str, Any]:
    """The body for ``POST /v1/metrics`` of a collector."""
    metrics: dict[str, dict[str, Any]] = {}
    for family in families:
        definition = family.definition
        name = otlp_name(definition)
        metric = metrics.setdefault(name, _metric(definition, name))
        points = metric[_shape(definition)]["dataPoints"]
        for labels, value in family.values.items():
            times = {"startTimeUnixNano": _nano(resource.started_at), "timeUnixNano": _nano(now)}
            named = _attributes(definition, labels, resource.engines)
            points.append({"attributes": named, **times, **_value(value)})
    full = [one for name, one in metrics.items() if one[_shape_of(one)]["dataPoints"]]
    about = {
        "service.name": "modelscan", "service.version": resource.version,
        "service.instance.id": resource.instance,
    }  # fmt: skip
    scope = {"name": "modelscan.gateway", "version": resource.version}
    scoped = {"scope": scope, "metrics": full}
    return {"resourceMetrics": [{
        "resource": resource_of(about),
        "scopeMetrics": [scoped],
    }]}  # fmt: skip


def otlp_name(definition: MetricDefinition) -> str:
    """The name of the conventions, else our own with a point, without its unit."""
    if definition.otlp is not None:
        return definition.otlp
    return "modelscan." + _UNIT_AT_END.sub("", definition.name.removeprefix("modelscan_"))


def _metric(definition: MetricDefinition, name: str) -> dict[str, Any]:
    unit = _UNITS[definition.unit]
    about = {"name": name, "description": definition.help, "unit": unit}
    shape: dict[str, Any] = {"dataPoints": []}
    if definition.kind != "gauge":
        shape["aggregationTemporality"] = _CUMULATIVE
    if definition.kind == "counter":
        shape["isMonotonic"] = True
    return {**about, _shape(definition): shape}


def _shape(definition: MetricDefinition) -> str:
    return {"counter": "sum", "gauge": "gauge", "histogram": "histogram"}[definition.kind]


def _shape_of(metric: Mapping[str, Any]) -> str:
    return next(name for name in ("sum", "gauge", "histogram") if name in metric)


def _value(value: float | HistogramValue) -> dict[str, Any]:
    """64-bit numbers are texts in this form, floating-point ones are numbers."""
    if not isinstance(value, HistogramValue):
        return {"asDouble": float(value)}
    return {
        "count": str(value.count),
        "sum": value.total,
        "bucketCounts": [str(count) for count in value.counts],
        "explicitBounds": list(value.bounds),
    }


def _attributes(
    definition: MetricDefinition, labels: Labels, engines: Mapping[str, str]
) -> list[dict[str, Any]]:
    pairs = dict(zip(definition.labels, labels, strict=True))
    found: dict[str, str] = {}
    for label, value in pairs.items():
        if definition.otlp is not None and label in _ATTRIBUTES:
            found[_ATTRIBUTES[label]] = operation_name(value)
        else:
            found[f"modelscan.{label}"] = value
    engine = engines.get(pairs.get("backend", ""))
    if definition.otlp is not None and engine is not None:
        found["gen_ai.provider.name"] = engine.replace(".", "_")
    if definition.name in _TOKEN_TYPES:
        found["gen_ai.token.type"] = _TOKEN_TYPES[definition.name]
    return attributes((name, value) for name, value in found.items() if value)


def _nano(moment: float) -> str:
    return str(int(moment * 1e9))
