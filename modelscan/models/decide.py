"""The decision how to run a model on a machine, used by every command.

``plan``, ``estimate``, ``pull``, ``deploy``, ``catalog info`` and ``--fits`` call ``decide_here``;
nothing else calls the planner.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.core.errors import NotDeployableError
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes
from modelscan.core.verdict import Verdict

if TYPE_CHECKING:
    from modelscan.core.estimate import Estimate
    from modelscan.core.machine import Machine
    from modelscan.core.plan import Decision, Plan, RequiredHardware, ResolvedModel
    from modelscan.core.workload import Workload

_SENTENCE = {
    Verdict.DOES_NOT_FIT: "{} does not fit {}",
    Verdict.UNKNOWN: "it is not known whether {} fits {}",
    Verdict.NOT_SUPPORTED: "{} cannot run on {}",
}


def decide_here(
    machine: Machine,
    model: ResolvedModel,
    wishes: Workload,
    *,
    explain: bool = False,
    everything: bool = False,
    brief: bool = False,
    with_curves: bool = False,
    with_files: bool = False,
    stated: bool = False,
) -> Decision:
    """The plan for this model on this machine, or a refusal with reasons.

    ``explain`` adds alternatives, missing engines that would do better, and hardware that is large
    enough; ``everything`` every option that fits; ``brief`` computes only the verdict of a refusal;
    ``with_curves`` adds the memory at other contexts and with other types of KV cache,
    ``with_files`` every file of the model. None of them changes the plan. ``stated``: the context
    is neither capped nor refused. Raises NotDeployableError where a repository's own code would run
    without ``--allow-unsafe``, UsageError for options that contradict each other.
    """
    from modelscan.planner.decide import decide

    return decide(
        model, machine, wishes, explain=explain or everything, everything=everything, brief=brief,
        with_curves=with_curves, with_files=with_files, stated=stated,
    )  # fmt: skip


def planned(machine: Machine, model: ResolvedModel, wishes: Workload) -> Plan:
    """The plan alone. Raises NotDeployableError (exit 3) with the refusal if there is none."""
    decision = decide_here(machine, model, wishes)
    if decision.plan is None:
        raise refused(decision, machine)
    return decision.plan


def refused(decision: Decision, machine: Machine) -> NotDeployableError:
    """A decision without a plan as an error of ``deploy`` and ``pull``: exit 3.

    ``code`` is the refusal's, ``details`` its numbers, its verdict and what is missing.
    """
    refusal = decision.refusal
    assert refusal is not None
    sentence = _SENTENCE[refusal.verdict].format(refusal.model, machine.where)
    first = next(iter(decision.missing), None)
    details: dict[str, Any] = to_json(refusal)
    return NotDeployableError(
        f"{sentence}: {'; '.join(refusal.reasons)}",
        hint=first.command if first else f"modelscan plan {refusal.model}",
        code=refusal.code,
        details={**details, "missing": to_json(decision.missing)},
    )


def estimate_here(
    machine: Machine,
    model: ResolvedModel,
    wishes: Workload,
    *,
    deployable: ResolvedModel | None = None,
) -> tuple[Estimate, Decision]:
    """The estimate of what ``decide_here`` chooses, and the decision.

    With an engine (or a GGUF file, which has one) and a context the launch is the user's own: the
    engine's own type of KV cache, and the context as it is. Without a plan: of the variant that
    matches the wishes, else of the one with the best quality, with the decision's verdict and
    without a speed. ``deployable`` restricts the model to the variants that the target can obtain.
    Raises NotDeployableError for closed weights or a variant that does not exist.
    """
    from modelscan.planner import refuse, sizing

    refuse.closed(model)
    backend = wishes.backend or _only_engine(model)
    stated = backend is not None and wishes.context_tokens is not None
    wishes = _with_own_cache(wishes, backend) if backend and stated else wishes
    decision = decide_here(machine, deployable or model, wishes, stated=stated)
    plan = decision.plan
    if plan is not None:
        text = f"{plan.quantization or plan.format} on {plan.backend}, as `plan` chooses here"
        estimate = _known_to_fit(replace(plan.estimate, quantization=plan.quantization))
        return _assuming(estimate, text), decision
    assert decision.refusal is not None
    try:
        estimate = sizing.size(model, wishes, machine.free_inventory())
    except NotDeployableError as error:
        if error.code != NotDeployableError.default_code:
            raise
        raise refused(decision, machine) from error  # this engine rejects the setting
    reason = next(iter(decision.refusal.reasons), decision.verdict.text)
    text = f"there is no plan for {machine.where} ({reason}): best-quality variant estimated"
    unfit = replace(estimate, verdict=decision.verdict, within_margin=False, speed=None)
    return _assuming(unfit, text), decision


def _only_engine(model: ResolvedModel) -> str | None:
    """The engine of a GGUF file that the user named; None for other models."""
    from modelscan.engines.registry import engine_for

    variants = [candidate.variant for candidate in model.candidates]
    mine = [v for v in variants if v.source == "local_path" and v.format == "gguf"]
    return engine_for("gguf").name if mine and len(mine) == len(variants) else None


def _with_own_cache(wishes: Workload, backend: str) -> Workload:
    """The engine's own type of KV cache unless the user sets one: the planner chooses none."""
    from modelscan.engines.registry import engine

    one = engine(backend)
    named = any(wishes.parameter(name) is not None for name in one.option_names.kv_cache)
    if wishes.kv_cache_k or wishes.kv_cache_v or named:
        return wishes
    own = "f16" if one.runs_gguf else "auto"
    return replace(wishes, kv_cache_k=own, kv_cache_v=own)


def _known_to_fit(estimate: Estimate) -> Estimate:
    """``unknown`` where the upper end of a size range does not fit: only the file's size tells."""
    from modelscan.planner.feasibility import worst_case_overflows

    if not worst_case_overflows(estimate):
        return estimate
    low, high = format_bytes(estimate.low_bytes), format_bytes(estimate.high_bytes)
    text = f"between {low} and {high}: whether it fits depends on the size of the file"
    return replace(
        estimate, verdict=Verdict.UNKNOWN, within_margin=False, warnings=(*estimate.warnings, text)
    )


def _assuming(estimate: Estimate, text: str) -> Estimate:
    return replace(estimate, assumptions=(text, *estimate.assumptions))


def gpus_needed(
    machine: Machine, model: ResolvedModel, wishes: Workload
) -> tuple[RequiredHardware, ...]:
    """The smallest hardware for each format. Raises NotDeployableError for closed weights."""
    from modelscan.planner.hardware import needed

    return needed(model, wishes, machine)
