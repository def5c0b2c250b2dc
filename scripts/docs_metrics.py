"""The reference page of the metrics of ``modelscan serve``, from their definitions."""

from __future__ import annotations

from modelscan.gateway.metrics.definitions import METRICS, MOST_SERIES, MetricDefinition
from modelscan.gateway.metrics.otlp import otlp_name


def metrics_page() -> str:
    """Every metric with its labels and its name in OTLP."""
    rows = [
        f"| `{_name(one)}` | {one.kind} | {_labels(one)} | {one.help} | `{otlp_name(one)}` |"
        for one in METRICS
    ]
    return "\n".join((
        "# Metrics of `modelscan serve`\n",
        "`GET /metrics` (scope read; none where only this machine can connect) has them for "
        "Prometheus, and as OpenMetrics where the reader accepts that. The setting "
        "`otlp_endpoint` sends them to an OTLP/HTTP collector, too. They count from the start of "
        "the gateway, over all of its workers. Labels are names of the routing file, of keys and "
        "of deployments, never what a client sent; beyond "
        f"{MOST_SERIES:,} combinations further ones are added up as `other`.\n",
        "| metric | kind | labels | meaning | in OTLP |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "`operation` is chat, completions, embeddings, rerank, responses, messages, transcription, "
        "speech, image, tokenize or other. A histogram has the series `_bucket`, `_count` and "
        "`_sum`.\n",
        "| histograms | buckets |",
        "|---|---|",
        *(f"| {names} | {_bounds(bounds)} |" for bounds, names in _buckets().items()),
    )) + "\n"  # fmt: skip


def _name(definition: MetricDefinition) -> str:
    return definition.series[0] if definition.kind == "counter" else definition.name


def _labels(definition: MetricDefinition) -> str:
    return ", ".join(f"`{label}`" for label in definition.labels) or "–"


def _buckets() -> dict[tuple[float, ...], str]:
    names: dict[tuple[float, ...], list[str]] = {}
    for one in METRICS:
        if one.kind == "histogram":
            names.setdefault(one.buckets, []).append(f"`{one.name}`")
    return {bounds: ", ".join(several) for bounds, several in names.items()}


def _bounds(bounds: tuple[float, ...]) -> str:
    return ", ".join(f"{bound:,g}" if bound < 1e6 else f"{bound:,.0f}" for bound in bounds)
