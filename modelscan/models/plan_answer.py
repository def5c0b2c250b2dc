"""A decision in the form of the ``plan`` document."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.plan import Decision, Missing, Plan, RequiredHardware
from modelscan.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Required:
    """The smallest hardware that is large enough."""

    gpus: tuple[RequiredHardware, ...]


@dataclass(frozen=True, slots=True)
class RejectedOption:
    """An option that was not chosen, and the reason."""

    option: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanAnswer:
    """``plan`` and ``command`` (which deploys it) are None if the model cannot run here;
    ``needed_bytes`` and ``available_bytes`` are then the refusal's numbers.

    ``verdict`` is None if only the required hardware was requested.
    """

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
    """The answer with only the hardware that is large enough for ``model``."""
    return PlanAnswer(None, model, None, None, (), (), Required(rows), (), None, None, ())
