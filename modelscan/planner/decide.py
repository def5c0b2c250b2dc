"""The decision: estimate every supported option, rank those that fit, and explain the choice.

Hard constraints come first (``engines.support``), then memory (``fit``), then preference
(``rank``). Pure: the same arguments always give the same Decision. Called by ``models.decide``
alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.machine import EngineHere, Machine, MissingEngine
from modelscan.core.plan import Decision, Missing, Plan, Refusal, ResolvedModel
from modelscan.core.verdict import Verdict
from modelscan.engines.owned_options import check_parameters
from modelscan.engines.registry import engine
from modelscan.planner import describe, hardware, refuse
from modelscan.planner.attempts import ENOUGH_TO_SHOW, Attempts, contenders
from modelscan.planner.cache import with_small_cache
from modelscan.planner.context import Estimator, PlanningContext
from modelscan.planner.context import estimator as own_estimator
from modelscan.planner.enlarge import enlarged
from modelscan.planner.feasibility import MINIMUM_CONTEXT_TOKENS, FittingOption, with_reserve
from modelscan.planner.file_sizes import file_sizes
from modelscan.planner.fit import fit
from modelscan.planner.rank import cost
from modelscan.planner.search import Rejection, ruined
from modelscan.planner.tiers import curves, longest, tiers
from modelscan.planner.user_flags import apply_user_flags, without_degree
from modelscan.planner.verdict import unknown_facts, verdict_of

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

ALTERNATIVES = 4
REFUSED_TOKENS = 8_192  # the context at which files are sized where nothing fits
_MORE_SLOTS = 4


def decide(
    model: ResolvedModel,
    machine: Machine,
    wishes: Workload,
    *,
    estimator: Estimator | None = None,
    explain: bool = True,
    everything: bool = False,
    brief: bool = False,
    with_curves: bool = False,
    with_files: bool = False,
    stated: bool = False,
) -> Decision:
    """The best plan on the machine's engines, or a refusal with reasons.

    ``explain=False`` omits alternatives, missing engines and required hardware and never changes
    the choice; ``everything`` returns every option that fits as an alternative; ``brief`` computes
    only the verdict of a refusal; ``with_curves`` adds the context against memory curves;
    ``stated``: the wishes are a launch as it is, whose context is neither capped nor refused.
    Raises NotDeployableError where a repository's own code would run without ``--allow-unsafe``,
    UsageError for options that contradict each other, and for those that modelscan sets itself
    (address, key, model).
    """
    task = "embedding" if wishes.embedding else model.task
    early = refuse.closed_refusal(model) or refuse.task_refusal(model, task, machine)
    if early is not None:
        return Decision(plan=None, refusal=early)
    refuse.remote_code(model, wishes)
    check_parameters(wishes.parameters, wishes.backend)
    wishes = apply_user_flags(wishes)
    case = PlanningContext(
        machine=machine,
        inventory=with_reserve(machine.free_inventory()),
        wishes=wishes,
        task=task,
        estimate=estimator or own_estimator(model.id, machine.history, machine.speeds),
        stated=stated,
    )
    engines, aside = contenders(machine.engines, wishes)
    run = Attempts(model, case, engines, explain, everything).run()
    winner = run.winner()
    if winner is None:
        refusal = _refusal(model, case, run, explain, brief)
        return _with_files(refusal, model, case, None) if with_files else refusal
    if explain and aside:
        run.add(Attempts(model, case, aside, explain, everything, best=run.best).run())
    count = len(run.fitted) if everything else ALTERNATIVES if explain else 0
    others = _distinct(winner, run.ranked(), count) if count else []
    winner, *others = (enlarged(fitting, case) for fitting in (winner, *others))
    if explain and len(others) < ENOUGH_TO_SHOW - 1:
        others = [*others, *_variations(winner, case)]
    decision = Decision(
        plan=describe.plan(model, winner, case, run.misses),
        refusal=None,
        alternatives=tuple(describe.plan(model, other, case, ()) for other in others),
        rejected=run.left_out(),
        missing=_with_missing_engines(model, case, run.best) if explain else (),
        contexts=tiers(winner, case) if explain and task == "chat" else (),
        curves=curves(winner, case, fine=with_files) if with_curves else (),
        max_context_tokens=longest(winner, case) if explain and task == "chat" else None,
    )
    return _with_files(decision, model, case, winner) if with_files else decision


def _with_files(
    decision: Decision, model: ResolvedModel, case: PlanningContext, winner: FittingOption | None
) -> Decision:
    """The decision with every file at the plan's context, else at the requested or usual one."""
    wishes = case.wishes
    context = winner.launch.context_tokens if winner else wishes.context_tokens or REFUSED_TOKENS
    trained = winner.option.candidate.shape.architecture.context_tokens if winner else None
    files = file_sizes(model, case, winner, context)
    return replace(
        decision, files=files, trained_context_tokens=trained, files_context_tokens=context
    )


def _with_missing_engines(
    model: ResolvedModel, case: PlanningContext, best: float = math.inf
) -> tuple[Missing, ...]:
    """For each engine that is not installed, its plan if that costs less than ``best``."""
    gaps: list[Missing] = []
    for gap in case.machine.missing:
        engines = (EngineHere(gap.name, gap.version),)
        winner = Attempts(model, case, engines, explain=False, best=best).run().winner()
        if winner is None or (winner.offload == "cpu" and gap.code == "cpu_only_build"):
            if gap.name == case.wishes.backend and not case.machine.has(gap.name):
                gaps.append(_missing(gap, None))
            continue
        if cost(winner, case.wishes).total < best:
            gaps.append(_missing(gap, describe.plan(model, winner, case, ())))
    return tuple(gaps)


def _missing(gap: MissingEngine, plan: Plan | None) -> Missing:
    return Missing(
        "engine", gap.name, gap.reason, gap.command, plan, gap.download_bytes, gap.disk_bytes
    )


def _distinct(
    winner: FittingOption, ranked: Sequence[FittingOption], count: int
) -> list[FittingOption]:
    """The next best options that differ from each other in weights, engine or offload."""

    def kind(fitting: FittingOption) -> tuple[object, ...]:
        variant = fitting.option.candidate.variant
        return (variant.repo, variant.quantization, fitting.option.backend, fitting.offload)

    kinds = {kind(winner)}
    others: list[FittingOption] = []
    for fitting in ranked:
        if kind(fitting) not in kinds and len(others) < count:
            kinds.add(kind(fitting))
            others.append(fitting)
    return others


def _variations(best: FittingOption, case: PlanningContext) -> list[FittingOption]:
    """The same weights and devices with other settings."""
    partial = best.offload == "partial"
    variations: list[FittingOption] = []
    for wish in _wishes(best, case):
        try:
            other = fit(best.option, replace(case, wishes=wish, offload=partial))
        except (NotDeployableError, UsageError):
            continue  # this engine rejects the setting for this model
        if not isinstance(other, FittingOption) or other.within_margin:
            continue
        if other.chosen not in [option.chosen for option in (best, *variations)]:
            variations.append(replace(other, offload="cpu") if best.offload == "cpu" else other)
    return variations


def _wishes(best: FittingOption, case: PlanningContext) -> Iterator[Workload]:
    """Variations: the trained context, more requests at once, a smaller cache, half the context."""
    wishes = case.wishes
    if not wishes.context_tokens and wishes.goal != "context":
        yield replace(wishes, goal="context")
    one = engine(best.option.backend)
    if not wishes.parallel and case.task == "chat" and one.divides_context:
        yield replace(wishes, parallel=_MORE_SLOTS, context_tokens=best.target_tokens)
    small = with_small_cache(best.option, wishes, case.task)
    if small and (best.launch.context_tokens < best.target_tokens or best.offload == "partial"):
        yield small
    half = best.launch.context_tokens // 2
    if not wishes.context_tokens and half >= MINIMUM_CONTEXT_TOKENS:
        yield replace(wishes, context_tokens=half)


def _refusal(
    model: ResolvedModel, case: PlanningContext, run: Attempts, explain: bool, brief: bool
) -> Decision:
    """The refusal: reasons with numbers, missing facts, and hardware that is large enough."""
    absent = refuse.absent(model, case.wishes)
    missing = (*unknown_facts(model, case, run, absent), *_with_missing_engines(model, case))
    verdict, code = verdict_of(model, case, run, missing)
    if brief:
        return Decision(None, Refusal(model.id, verdict, code, (), None, None), missing=missing)
    smallest = min(run.misses, key=lambda miss: (miss.bound, miss.needed_bytes), default=None)
    needed = describe.precise(smallest).needed_bytes if smallest else None
    if absent:
        needed = refuse.least_bytes(model, case)
    listed = any(candidate.variant.format == "gguf" for candidate in model.candidates)
    size_matters = listed if verdict is Verdict.UNKNOWN else code == verdict.value
    size_matters = size_matters and not run.undivided
    mixed = [item for item in run.rejected if item.kind is Rejection.MIXED]
    others = [item for item in run.rejected if item.kind is not Rejection.MIXED]
    refused = (*run.unknown, *run.refused, *describe.telling(others))
    refusals = (*((item.option, item.reason) for item in mixed[:1]), *refused)
    gaps = [gap.reason for gap in missing if gap.kind != "engine" or code != verdict.value]
    reasons = describe.refusal_reasons(model, case, run.misses, refusals, absent)
    refusal = Refusal(
        model=model.id,
        verdict=verdict,
        code=code,
        reasons=tuple(dict.fromkeys((*gaps, *reasons, *model.notes))),
        needed_bytes=needed,
        available_bytes=describe.most_available(case.inventory),
        required=hardware.required(model, case) if explain and size_matters else (),
        alternatives=_nearest(model, case) if explain else (),
    )
    return Decision(plan=None, refusal=refusal, rejected=run.left_out(), missing=missing)


def _nearest(model: ResolvedModel, case: PlanningContext) -> tuple[Plan, ...]:
    """Plans for this hardware with one of the wishes dropped."""
    plans: list[Plan] = []
    for wishes in _relaxed(model, case.wishes):
        try:
            plan = decide(model, case.machine, wishes, estimator=case.estimate, explain=False).plan
        except NotDeployableError:
            continue
        if plan is not None and plan.parameters not in [other.parameters for other in plans]:
            plans.append(plan)
    return tuple(plans)


def _relaxed(model: ResolvedModel, wishes: Workload) -> list[Workload]:
    """The wishes with one of them dropped each time; in the last, all that can be dropped."""
    relaxed: list[Workload] = []
    if not wishes.quantization:
        names = [c.variant.quantization for c in model.candidates if ruined(c)]
        relaxed += [replace(wishes, quantization=name) for name in names[:1]]
    if wishes.quantization:
        relaxed.append(replace(wishes, quantization=None))
    if wishes.context_tokens:
        relaxed.append(replace(wishes, context_tokens=None))
    if wishes.tensor_parallel:
        relaxed.append(without_degree(wishes))
    if wishes.backend:
        relaxed.append(replace(wishes, backend=None, backend_version=None, parameters=()))
    if len(relaxed) > 1:
        relaxed.append(replace(relaxed[-1], quantization=None, context_tokens=None))
    return relaxed
