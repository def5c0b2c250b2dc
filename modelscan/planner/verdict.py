"""The verdict of a refusal: too large, not known, or not supported here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.core.plan import Missing, ResolvedModel
from modelscan.core.verdict import Verdict
from modelscan.engines.support import task_support
from modelscan.planner import describe, refuse
from modelscan.planner.search import Rejection

if TYPE_CHECKING:
    from modelscan.planner.attempts import Attempts
    from modelscan.planner.context import PlanningContext


def verdict_of(
    model: ResolvedModel,
    case: PlanningContext,
    run: Attempts,
    missing: Sequence[Missing],
) -> tuple[Verdict, str]:
    """The verdict of a refusal and its code; a missing fact never means "does not fit"."""
    engines = [gap for gap in missing if gap.kind == "engine"]
    if len(engines) < len(missing):
        return Verdict.UNKNOWN, Verdict.UNKNOWN.value
    codes = {gap.reason: gap.code for gap in case.machine.missing}
    if engines:
        return Verdict.NOT_SUPPORTED, codes[engines[0].reason]
    too_little = refuse.size_sentence(model, case, describe.most_available(case.inventory))
    served = any(task_support(case.task, engine.name) for engine in case.machine.engines)
    if run.misses or (too_little and served) or _too_many_gpus(run):
        return Verdict.DOES_NOT_FIT, Verdict.DOES_NOT_FIT.value
    return Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED.value


def _too_many_gpus(run: Attempts) -> bool:
    """Whether ``--tensor-parallel`` requires more GPUs than the machine has."""
    return any(item.kind is Rejection.TOO_MANY_GPUS for item in run.rejected)


def unknown_facts(
    model: ResolvedModel, case: PlanningContext, run: Attempts, absent: str | None
) -> tuple[Missing, ...]:
    """The missing facts that a verdict needs, each with the command that obtains it."""
    gaps: list[Missing] = []
    if run.too_long:
        return ()  # no file makes a model's context longer
    if refuse.unlisted_may_fit(model, case):
        repo = model.unlisted[0]
        gaps.append(
            Missing("file_list", repo, f"{repo} has GGUF files whose names are not known here",
                    f"modelscan plan hf:{repo}")
        )  # fmt: skip
    for repo in (*model.unsized, *run.unsized)[: 0 if run.misses else 1]:
        gaps.append(
            Missing("size", repo, f"the size of {repo} is not known", f"modelscan plan hf:{repo}")
        )
    has_weights = model.candidates or model.unlisted or model.unsized or model.other_formats
    if not has_weights:
        gaps.append(
            Missing("repository", model.id, f"no repository with weights of {model.id} is known",
                    "modelscan plan hf:ORG/REPO")
        )  # fmt: skip
    for option, reason in run.unknown[: 0 if run.misses or run.refused else 1]:
        backend = case.wishes.backend or option.rpartition(" on ")[2].partition(",")[0]
        gaps.append(
            Missing("architecture", model.id, reason,
                    f"modelscan plan {model.id} --backend {backend} --force")
        )  # fmt: skip
    unsure = next((miss for miss in run.misses if miss.uncertain), None)
    if unsure is not None and not absent:
        repo = unsure.option.candidate.variant.repo
        gaps.append(
            Missing("architecture", repo, f"the architecture of {model.id} is not known: the lower "
                    f"end of its size range fits, the upper does not", f"modelscan plan hf:{repo}")
        )  # fmt: skip
    return tuple(gaps)
