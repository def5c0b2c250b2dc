"""llama.cpp's contexts for drafting, as cases of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.engines.llamacpp import drafting
from modelscan.engines.llamacpp.case import Case
from modelscan.engines.llamacpp.file_layout import file_layout
from modelscan.engines.llamacpp.overrides import moved, overrides
from modelscan.engines.llamacpp.prediction_blocks import prediction_layout
from modelscan.engines.llamacpp.split import place

if TYPE_CHECKING:
    from modelscan.engines.llamacpp.drafting import Drafting
    from modelscan.engines.llamacpp.settings import Settings


def contexts(case: Case, drafted: Drafting) -> tuple[Case, ...]:
    """The contexts that draft: a draft model's, or that of the model's own prediction blocks."""
    if not drafted.mtp and not drafted.file:
        return ()
    settings = drafting.draft_settings(case.workload, case.settings)
    draft = case.model.shape.draft
    if drafted.file and draft:
        there = place(draft, drafting.draft_workload(case.workload), case.placement.gpus)
        return (replace(case, model=file_layout(draft), settings=settings, placement=there),)
    return _predicting(case, settings) if drafted.mtp else ()


def _predicting(case: Case, settings: Settings) -> tuple[Case, ...]:
    blocks, placement = prediction_layout(case.model.shape), case.placement
    if blocks is None:
        return ()
    experts = placement.host_experts == frozenset(range(len(placement.layers)))
    rules = overrides(case.workload, len(placement.gpus))
    tensors = blocks.shape.tensors if placement.gpus else ()
    there = replace(
        placement, layers=placement.prediction, prediction=(),
        moved=moved(tensors, rules, placement.prediction, placement.output),
        host_experts=frozenset(range(len(placement.prediction)) if experts else ()),
        drafts_pipelined=placement.pipelined,
    )  # fmt: skip
    facts = replace(case.facts, graph=drafting.draft_graph(case.facts.graph, settings))
    return (Case(blocks, settings, facts, there, case.workload),)
