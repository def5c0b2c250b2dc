"""Which version of a Python engine serves this driver, these GPUs and this model, by the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.workload import Workload
from modelscan.engines.cuda_toolkit import numbers, toolkit_refusal
from modelscan.engines.pool_engine import PoolEngine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.plan import ResolvedModel
    from modelscan.engines.engine import Wheels


def choose_version(
    engine: PoolEngine,
    wheels: Wheels,
    hardware: Inventory,
    gpus: Sequence[Gpu],
    quantization: str | None,
    model: ResolvedModel | None,
) -> tuple[str, tuple[str, ...]]:
    """The newest version that runs there, and why not a newer one.

    Raises NotDeployableError, with the reason of the newest version, where none does.
    """
    if wheels.vendor is None:
        return wheels.version, ()
    versions = [*reversed(engine.kernels.facts(None).table.versions)]
    refusals: list[str] = []
    for version in versions:
        refusal = _refusal(engine, wheels, version, gpus, quantization)
        refusal = refusal or _model_refusal(engine, version, hardware, quantization, model)
        if refusal is None:
            return version, tuple(refusals[:1])
        refusals.append(f"not {version}: {refusal}")
    raise NotDeployableError(
        f"no version of {engine.title} from {versions[-1]} to {versions[0]} runs here; "
        + refusals[0],
        hint="modelscan doctor",
        code="no_build",
        details={"refusals": refusals[:5]},
    )


def _refusal(
    engine: PoolEngine, wheels: Wheels, version: str, gpus: Sequence[Gpu], quantization: str | None
) -> str | None:
    facts = engine.kernels.facts(version)
    toolkit = next(iter(facts.rows("cuda")), None)
    if toolkit is None and numbers(version) >= numbers(wheels.version):
        toolkit = wheels.toolkit
    for gpu in gpus:
        refusal = toolkit_refusal(numbers(toolkit), gpu) if toolkit else None
        if refusal is not None:
            return refusal
        support = engine.gpu_support(quantization, gpu, original=True, version=version)
        if not support:
            return support.reason
    return None


def _model_refusal(
    engine: PoolEngine,
    version: str,
    hardware: Inventory,
    quantization: str | None,
    model: ResolvedModel | None,
) -> str | None:
    """Why the planner would not run the model with that version; memory counts, too."""
    if model is None:
        return None
    from modelscan.models.decide import decide_here

    machine = Machine(hardware, (EngineHere(engine.name, version, "installed"),))
    wishes = Workload(backend=engine.name, quantization=quantization)
    decision = decide_here(machine, model, replace(wishes, backend_version=version))
    if decision.refusal is None:
        return None
    return "; ".join(decision.refusal.reasons[:2]) or decision.refusal.code
