"""A decision as the ``plan`` document shows it."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.plan import Decision, Missing, Plan, RequiredHardware
from modelscan.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Required:
    """The smallest hardware that would do."""

    gpus: tuple[RequiredHardware, ...]


@dataclass(frozen=True, slots=True)
class RejectedOption:
    """A way to run the model that was left out, and why."""

    option: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """``plan`` and ``command`` (which deploys it) are None without a way to run the model here;
    ``needed_bytes`` and ``available_bytes`` are then the refusal's numbers. ``verdict`` is None
    where the question was for the hardware that would do."""

    verdict: Verdict | None
    model: str | None
    command: str | None
    plan: Plan | None
    alternatives: tuple[Plan, ...]
    missing: tuple[Missing, ...]
    required: Required
    reasons: tuple[str, ...]
    needed_bytes: int | None
    available_bytes: int | None
    rejected: tuple[RejectedOption, ...]


def plan_answer(decision: Decision, command: str | None = None) -> PlanAnswer:
    """``decision`` as an answer; ``command`` deploys its plan."""
    plan, refusal = decision.plan, decision.refusal
    others = decision.alternatives if refusal is None else refusal.alternatives
    reasons = refusal.reasons if refusal else plan.reasons if plan else ()
    return PlanAnswer(
        verdict=decision.verdict,
        model=refusal.model if refusal else plan.model if plan else None,
        command=command if plan else None,
        plan=plan,
        alternatives=tuple(others),
        missing=tuple(decision.missing),
        required=Required(tuple(refusal.required) if refusal else ()),
        reasons=tuple(reasons),
        needed_bytes=refusal.needed_bytes if refusal else None,
        available_bytes=refusal.available_bytes if refusal else None,
        rejected=tuple(RejectedOption(what, why) for what, why in decision.rejected),
    )


def hardware_answer(model: str, rows: tuple[RequiredHardware, ...]) -> PlanAnswer:
    """The hardware that would do, for ``model``; nothing else is answered."""
    return PlanAnswer(None, model, None, None, (), (), Required(rows), (), None, None, ())
