"""Smaller models of the same makers, for a model that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.catalog.index.current import open_index
from modelscan.catalog.search.lookup import load_model
from modelscan.catalog.search.query import Query, Row, search
from modelscan.core.errors import ModelscanError
from modelscan.core.verdict import Verdict
from modelscan.models.decide import decide_here
from modelscan.models.from_catalog import from_model
from modelscan.planner.describe import most_available

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.core.machine import Machine
    from modelscan.core.model import Model
    from modelscan.core.plan import Decision, Plan, ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config

_PLANS = 2
_MODELS = 8


def with_smaller_alternatives(
    decision: Decision,
    resolved: ResolvedModel,
    machine: Machine,
    workload: Workload,
    config: Config,
) -> Decision:
    """The decision, with plans of other models if no variant of this one fits.

    They are planned with the same wishes, without the quantization if no such weights fit.
    """
    refusal, model = decision.refusal, resolved.model
    if refusal is None or model is None or refusal.alternatives:
        return decision
    if refusal.verdict is not Verdict.DOES_NOT_FIT:
        return decision
    index = open_index(config.paths)
    try:
        near = [
            load_model(index, row.row)
            for row in _near(index, model, most_available(machine.free_inventory()))
        ]
    finally:
        index.close()
    plans = list(_plans(near, machine, workload, config))
    if not plans and workload.quantization:
        plans = list(_plans(near, machine, replace(workload, quantization=None), config))
    return replace(decision, refusal=replace(refusal, alternatives=tuple(plans)))


def _near(index: Index, model: Model, free_bytes: int) -> list[Row]:
    """Smaller models of the same makers for the same task, the most similar first."""
    lab = model.lab or model.id.partition("/")[0]
    query = Query(
        open_weights=True, task=model.task or "chat", max_memory_bytes=free_bytes, limit=None,
        max_parameters=model.parameters,
    )  # fmt: skip
    rows = [row for row in search(index, query).rows if lab in (row.lab, row.id.partition("/")[0])]
    likely = [row for row in rows if row.id != model.id and row.variants]
    likely.sort(key=lambda row: (-_shared_words(row.id, model.id), -(row.parameters or 0), row.id))
    return likely[:_MODELS]


def _shared_words(one: str, other: str) -> int:
    """The number of leading words two names share: deepseek-r1-distill-qwen-32b, deepseek-r1: 2."""
    pairs = zip(_words(one), _words(other), strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), len(_words(other)))


def _words(name: str) -> list[str]:
    return name.rpartition("/")[2].lower().split("-")


def _plans(
    models: list[Model], machine: Machine, workload: Workload, config: Config
) -> Iterator[Plan]:
    count = 0
    for model in models:
        try:
            other = from_model(model, config, workload)
            plan = decide_here(machine, other, workload).plan
        except ModelscanError:  # no format that an engine here loads, or an unknown size
            continue
        if plan is not None:
            count += 1
            yield plan
        if count == _PLANS:
            return
