"""A decision in the form of the ``plan`` document."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.plan import (
    CacheCurve,
    ContextTier,
    Decision,
    Missing,
    Plan,
    Quality,
    RequiredHardware,
    ResolvedModel,
    Sizes,
)
from modelscan.core.verdict import Offload, Verdict


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
    ``needed_bytes`` and ``available_bytes`` are then the refusal's numbers. ``contexts`` are the
    plan's memory and speed at 8k, 16k, 32k … tokens, ``max_context_tokens`` the longest context
    that fits with its weights, engine and cache.

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
    contexts: tuple[ContextTier, ...] = ()
    max_context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedMachine:
    """The plan on one machine; without one only the verdict and the first ``reason``.

    ``gpu`` is the machine as requested, ``tokens_per_s`` of one request.
    """

    gpu: str
    verdict: Verdict
    quantization: str | None = None
    backend: str | None = None
    context_tokens: int | None = None
    total_bytes: int | None = None
    tokens_per_s: float | None = None
    offload: Offload | None = None
    quality: Quality | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedMachines:
    """The plan of ``model`` on several machines, in the order of the request."""

    model: str
    machines: tuple[PlannedMachine, ...]


@dataclass(frozen=True, slots=True)
class ContextCurves:
    """Context against memory of a plan, for each type of KV cache.

    ``free_bytes``: of the devices that the plan uses; None if unknown.
    """

    model: str
    quantization: str | None
    backend: str
    free_bytes: int | None
    curves: tuple[CacheCurve, ...]


def planned_machine(gpu: str, decision: Decision) -> PlannedMachine:
    """A decision as one row of several machines."""
    plan, refusal = decision.plan, decision.refusal
    if plan is None:
        reasons = refusal.reasons if refusal else ()
        return PlannedMachine(gpu, decision.verdict, reason=next(iter(reasons), None))
    speed = plan.estimate.speed
    return PlannedMachine(
        gpu=gpu,
        verdict=decision.verdict,
        quantization=plan.quantization,
        backend=plan.backend,
        context_tokens=plan.context_tokens,
        total_bytes=plan.estimate.total_bytes,
        tokens_per_s=speed.decode_tokens_per_s if speed else None,
        offload=plan.offload,
        quality=plan.quality,
    )


def curves_of(plan: Plan, decision: Decision) -> ContextCurves:
    """The curves of a decision with their plan."""
    devices = plan.estimate.per_gpu or ((plan.estimate.host,) if plan.estimate.host else ())
    free = [device.free_bytes for device in devices]
    known = None if None in free else sum(size or 0 for size in free)
    return ContextCurves(plan.model, plan.quantization, plan.backend, known, decision.curves)


def sizes_of(decision: Decision, model: ResolvedModel, where: str) -> Sizes:
    """The files and curves of a decision."""
    return Sizes(
        model=model.id,
        name=model.name,
        verdict=decision.verdict,
        where=where,
        context_tokens=decision.files_context_tokens or 0,
        trained_context_tokens=decision.trained_context_tokens,
        max_context_tokens=decision.max_context_tokens,
        files=decision.files,
        curves=decision.curves,
    )


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
        contexts=tuple(decision.contexts),
        max_context_tokens=decision.max_context_tokens,
    )


def hardware_answer(model: str, rows: tuple[RequiredHardware, ...]) -> PlanAnswer:
    """The answer with only the hardware that is large enough for ``model``."""
    return PlanAnswer(None, model, None, None, (), (), Required(rows), (), None, None, ())
