"""Model: which file, which context, how it is started on a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.plan import CacheCurve, Decision, ModelSizes
from modelscan.engines.registry import engines
from modelscan.models.info import ModelFacts, ModelInfo
from modelscan.web.charts.bar import PARTS, PATTERNS, grouped
from modelscan.web.visit import View, Visit

CONTEXTS = (4096, 8192, 16384, 24576, 32768, 40960, 65536, 131072, 262144)
CACHES = ("f16", "q8_0", "q4_0", "fp8")
EXPORTS = (
    ("command", "Command"), ("compose", "Docker Compose"), ("kubernetes", "Kubernetes"),
    ("systemd", "systemd"), ("quadlet", "Podman Quadlet"), ("skypilot", "SkyPilot"),
    ("gpustack", "GPUStack"),
)  # fmt: skip
ENGINES = {one.name: one.title for one in engines()}


@dataclass(frozen=True, slots=True)
class ModelPageAnswer:
    """Everything that the page shows. ``card``: the devices' short name; ``command`` deploys the
    plan; ``export``: the plan in the chosen form, or why it cannot be written so.
    """

    sizes: ModelSizes
    decision: Decision
    card: str
    free_bytes: int
    gpus: int
    command: str
    info: ModelInfo | None
    export: str | None = None
    export_error: ModelscanError | None = None
    warnings: tuple[str, ...] = ()


def view(visit: Visit, answer: ModelPageAnswer) -> View:
    """The page."""
    sizes, plan = answer.sizes, answer.decision.plan
    limit = answer.free_bytes
    where = "Memory" if not answer.gpus else "GPU memory"
    where += " per GPU" if answer.gpus > 1 else ""
    return View("model.html", {
        "title": f"{sizes.name} on {answer.card}", "answer": answer, "sizes": sizes, "plan": plan,
        "decision": answer.decision, "refusal": answer.decision.refusal, "info": answer.info,
        "facts": answer.info.model if answer.info else None, "limit": limit, "where": where,
        "contexts": [one for one in CONTEXTS
                     if not sizes.trained_context_tokens or one <= sizes.trained_context_tokens],
        "caches": CACHES, "exports": EXPORTS, "export": visit.text("export", "command"),
        "engines": ENGINES, "curves": curves_data(sizes.curves, limit, sizes.context_tokens),
        "now": sizes.context_tokens, "fact_rows": fact_rows(answer.info) if answer.info else (),
        "wish": _wish(visit, answer),
        "sizes_link": visit.link(f"/api/v1/sizes/{sizes.model}", export=None),
    })  # fmt: skip


def _wish(visit: Visit, answer: ModelPageAnswer) -> Mapping[str, Any]:
    """What a deployment of the shown plan asks for: exactly what the page shows."""
    plan = answer.decision.plan
    if plan is None:
        return {}
    values = {
        "model": answer.sizes.model, "backend": plan.backend, "quantization": plan.quantization,
        "context_tokens": plan.context_tokens, "kv_cache": visit.one_of("kv", CACHES) or None,
    }  # fmt: skip
    return {name: value for name, value in values.items() if value is not None}


def curves_data(curves: tuple[CacheCurve, ...], limit: int, now: int) -> Mapping[str, Any]:
    """What the slider needs, as JSON."""
    parts = [[key, PATTERNS.get(key, "")] for key, _ in PARTS if key != "pool"]
    return {
        "limit": limit,
        "now": now,
        "parts": parts,
        "curves": [
            {
                "kv": one.kv_cache,
                "points": [
                    {
                        "n": point.context_tokens, "bytes": point.device_bytes,
                        "speed": point.tokens_per_s, "state": point.state,
                        "parts": [grouped(point.parts)[key] for key, _ in parts],
                    }
                    for point in one.points
                ],
            }
            for one in curves
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class FactRow:
    """A fact with its unit, its source, and what other sources say."""

    label: str
    kind: str
    value: object
    source: str | None
    retrieved_at: str | None
    others: tuple[tuple[str, object], ...]


_FACTS = (
    ("limits.context_tokens", "Context", "tokens"),
    ("limits.output_tokens", "Longest answer", "tokens"),
    ("license", "Licence", "text"), ("parameters", "Parameters", "whole"),
    ("release_date", "Released", "text"), ("knowledge", "Knowledge until", "text"),
    ("downloads", "Downloads", "whole"), ("family", "Family", "text"),
)  # fmt: skip


def fact_rows(info: ModelInfo) -> list[FactRow]:
    """The facts that the page lists, each with its source."""
    return [_fact(info, name, label, kind) for name, label, kind in _FACTS]


def _fact(info: ModelInfo, name: str, label: str, kind: str) -> FactRow:
    value = _value(info.model, name)
    origin = info.provenance.get(name)
    others = tuple((one.source, one.value) for one in origin.others) if origin else ()
    return FactRow(label, kind, value, origin.source if origin else None,
                   origin.retrieved_at if origin else None, others)  # fmt: skip


def _value(facts: ModelFacts, name: str) -> object:
    value: object = facts
    for part in name.split("."):
        value = getattr(value, part)
    return value
