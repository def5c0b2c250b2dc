"""The inputs that all options of one decision share, and the type of an option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.machine import EngineHere, Machine
from modelscan.core.plan import Candidate
from modelscan.core.workload import Backend, Workload
from modelscan.engines.recipe_options import RecipeOptions
from modelscan.engines.support import Support
from modelscan.engines.support_rules import Drawback

if TYPE_CHECKING:
    from modelscan.core.measurement import Measurement, SpeedMeasurement

Estimator = Callable[[ModelShape, Workload, Inventory], Estimate]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run the model, not yet estimated. ``gpus`` is () on the CPU."""

    candidate: Candidate
    engine: EngineHere
    backend: Backend  # the engine's name
    gpus: tuple[Gpu, ...]
    tensor_parallel: int
    support: Support
    recommended: bool = False  # the catalog publishes a recipe for it
    drawback: Drawback | None = None  # why another engine is preferred on these devices
    recipe: RecipeOptions = field(default_factory=RecipeOptions)  # published options

    @property
    def label(self) -> str:
        """Quantization, engine and devices, for messages."""
        where = "CPU" if not self.gpus else device_label(self.gpus)
        return f"{self.candidate.variant.quantization or '?'} on {self.backend}, {where}"


def device_label(gpus: Sequence[Gpu]) -> str:
    """``2 x NVIDIA H100 80GB`` or ``RTX 4090 + RTX 3090``."""
    names = list(dict.fromkeys(gpu.name for gpu in gpus))
    counts = [(sum(gpu.name == name for gpu in gpus), name) for name in names]
    return " + ".join(f"{count} x {name}" if count > 1 else name for count, name in counts)


@dataclass(frozen=True, slots=True)
class PlanningContext:
    """The inputs that all options of one decision share. ``inventory`` excludes reserved memory."""

    machine: Machine
    inventory: Inventory
    wishes: Workload
    task: str
    estimate: Estimator
    offload: bool = True  # whether llama.cpp may keep part of the model in host memory
    stated: bool = False  # the launch is the user's own: its context is not capped or refused

    def wishes_on(self, engine: EngineHere) -> Workload:
        """The wishes with the installed engine version, unless the user requested a version."""
        if engine.version is None or self.wishes.backend_version:
            return self.wishes
        return replace(self.wishes, backend_version=engine.version)


def estimator(
    model: str,
    history: Sequence[Measurement] = (),
    speeds: Sequence[SpeedMeasurement] = (),
) -> Estimator:
    """``memory.estimate`` for one model, with margins and speeds learned on this machine."""
    from modelscan.engines.estimate import estimate

    def call(shape: ModelShape, workload: Workload, inventory: Inventory) -> Estimate:
        return estimate(shape, workload, inventory, model=model)

    if not history and not speeds:
        return call
    from modelscan.engines.margin_history import with_history
    from modelscan.engines.speed_history import with_speeds

    def learned(shape: ModelShape, workload: Workload, inventory: Inventory) -> Estimate:
        estimate = with_history(call(shape, workload, inventory), history)
        return with_speeds(estimate, speeds, inventory)

    return learned
