"""Whether a catalog model runs on given hardware, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.core.model import Model
    from modelscan.core.plan import Decision
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class Room:
    """The hardware, and the memory one model may take of it: the GPUs', else free host memory."""

    inventory: Inventory
    usable_bytes: int
    where: str  # "2 x H100 80GB" or "the CPU"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs here, and how. ``basis``: estimate (the planner's) | lower_bound."""

    verdict: str  # fits | does_not_fit | unknown
    needed_bytes: int | None
    available_bytes: int
    where: str
    quantization: str | None = None
    backend: str | None = None
    context_tokens: int | None = None
    tokens_per_s: float | None = None
    basis: str | None = None

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if self.needed_bytes is None:
            return f"unknown: neither its size nor its weights are known ({self.where})"
        room = f"{format_bytes(self.available_bytes)} free on {self.where}"
        needed = format_bytes(self.needed_bytes)
        if self.verdict != "fits":
            what = f"{self.quantization} needs" if self.quantization else "the smallest needs"
            return f"no: {what} {needed}, {room}"
        label = self.quantization or "the weights as released"
        how = f" with {self.backend}" if self.backend else ""
        speed = f", about {self.tokens_per_s:.3g} tokens/s" if self.tokens_per_s else ""
        return f"yes: {label}{how} takes {needed}{speed}; {room}"


def room(gpu: str | None) -> Room:
    """The (real or simulated) hardware and its memory."""
    from modelscan.gpu.inventory import inventory

    found = inventory(gpu)
    total = sum(g.free_bytes or g.memory_bytes or 0 for g in found.gpus)
    if total:
        first, count = found.gpus[0].name, len(found.gpus)
        return Room(found, total, f"{count} x {first}" if count > 1 else first)
    return Room(found, found.host.free_bytes or found.host.memory_bytes or 0, "the CPU")


def fit_of(model: Model, here: Room, config: Config) -> Fit:
    """The planner's answer; where it has none, the catalog's least memory against what is free."""
    decision = _decision(model, here, config)
    if decision is not None and decision.plan is not None:
        plan = decision.plan
        speed = plan.estimate.speed
        return Fit(
            "fits", plan.estimate.total_bytes, here.usable_bytes, here.where, plan.quantization,
            plan.backend, plan.context_tokens, speed.decode_tokens_per_s if speed else None,
            "estimate",
        )  # fmt: skip
    if decision is not None and decision.no_fit is not None and decision.no_fit.needed_bytes:
        needed = decision.no_fit.needed_bytes
        return Fit("does_not_fit", needed, here.usable_bytes, here.where, basis="estimate")
    return _bound(model, here)


def _decision(model: Model, here: Room, config: Config) -> Decision | None:
    from modelscan.core.workload import Workload
    from modelscan.models.from_catalog import from_model
    from modelscan.models.from_local import from_path
    from modelscan.planner.decide import decide

    workload = Workload()
    local = [v.repo for v in model.variants if v.source == "local_path"]
    try:
        if local:
            subject = from_path(local[0], workload, name=model.id)
        else:
            subject = from_model(model, config, workload)
        return decide(subject, here.inventory, workload, explain=False)
    except ModelscanError:  # no variant that an engine here loads, or nothing to size it by
        return None


def _bound(model: Model, here: Room) -> Fit:
    from modelscan.catalog.sizing import least_memory

    least = least_memory(model)
    if least is None:
        return Fit("unknown", None, here.usable_bytes, here.where)
    verdict = "fits" if least.memory_bytes <= here.usable_bytes else "does_not_fit"
    return Fit(
        verdict, least.memory_bytes, here.usable_bytes, here.where, least.quantization,
        basis="lower_bound",
    )  # fmt: skip
