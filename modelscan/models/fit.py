"""Whether a catalog model runs on a machine, and how: for ``catalog info`` and ``--fits``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelscan.catalog.index.read import Index
from modelscan.catalog.search.query import Row
from modelscan.core.errors import ModelscanError
from modelscan.core.gpu import Inventory
from modelscan.core.machine import Machine
from modelscan.core.model import Model
from modelscan.core.plan import Decision, Plan, Refusal
from modelscan.core.units import format_bytes
from modelscan.core.verdict import Offload, Verdict
from modelscan.core.workload import Workload
from modelscan.models.decide import decide_here
from modelscan.models.from_catalog import from_model
from modelscan.planner.context import device_label
from modelscan.planner.feasibility import available_bytes, host_free
from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a model runs on a machine, and how.

    ``needed_bytes`` and ``available_bytes`` are of the devices ``where`` that the plan uses;
    without a plan: the least that is needed, and what the largest set of devices has free.
    """

    verdict: Verdict
    needed_bytes: int | None
    available_bytes: int | None
    where: str
    within_margin: bool = False
    offload: Offload | None = None
    quantization: str | None = None
    backend: str | None = None
    context_tokens: int | None = None
    tokens_per_s: float | None = None
    basis: str | None = None  # of the estimate: exact | computed | range
    reason: str | None = None  # why there is no plan
    command: str | None = None  # what would make it known or possible

    @property
    def text(self) -> str:
        """One sentence for a person."""
        if self.verdict is Verdict.FITS:
            return self._how()
        tail = f" ({self.command})" if self.command else ""
        answer = {Verdict.UNKNOWN: "unknown", Verdict.NOT_SUPPORTED: "not supported"}
        return f"{answer.get(self.verdict, 'no')}: {self.reason}{tail}"

    def _how(self) -> str:
        speed = f", about {self.tokens_per_s:.3g} tokens/s" if self.tokens_per_s else ""
        parts = {"partial": ", part of it in host memory", "cpu": " on the CPU"}
        return (
            f"yes: {self.quantization or 'the weights as released'} with {self.backend}"
            f"{parts.get(self.offload or '', '')} takes {format_bytes(self.needed_bytes)}{speed}; "
            f"{format_bytes(self.available_bytes)} free on {self.where}"
        )


def default_wishes(config: Config) -> Workload:
    """The wishes of a ``plan`` without options."""
    return Workload(goal=config.goal)


def fit_of(model: Model, machine: Machine, config: Config, *, brief: bool = False) -> Fit:
    """What ``plan`` answers for this model; ``brief``: of a refusal the verdict alone."""
    wishes = default_wishes(config)
    try:
        decision = decide_here(machine, from_model(model, config, wishes), wishes, brief=brief)
    except ModelscanError as error:  # its files cannot be read
        return Fit(Verdict.UNKNOWN, None, None, machine.where, reason=error.message,
                   command=error.hint)  # fmt: skip
    return as_fit(decision, machine)


def as_fit(decision: Decision, machine: Machine) -> Fit:
    """A decision as ``catalog`` shows it."""
    inventory = machine.free_inventory()
    if decision.plan is not None:
        return _planned(decision.plan, inventory)
    assert decision.refusal is not None
    command = decision.missing[0].command if decision.missing else None
    return _refused(decision.refusal, command, inventory)


def _planned(plan: Plan, inventory: Inventory) -> Fit:
    gpus = tuple(gpu for gpu in inventory.gpus if gpu.index in plan.gpus)
    free = available_bytes(gpus, inventory)
    where = device_label(gpus) if gpus else "the CPU"
    if plan.offload == "partial":
        free, where = free + host_free(inventory), f"{where} and host memory"
    speed = plan.estimate.speed
    return Fit(
        Verdict.FITS, plan.estimate.total_bytes, free, where, plan.within_margin, plan.offload,
        plan.quantization, plan.backend, plan.context_tokens,
        speed.decode_tokens_per_s if speed else None, plan.estimate.basis,
    )  # fmt: skip


def _refused(refusal: Refusal, command: str | None, inventory: Inventory) -> Fit:
    where = device_label(inventory.gpus) if inventory.gpus else "the CPU"
    reason = refusal.reasons[0] if refusal.reasons else refusal.verdict.text
    return Fit(
        refusal.verdict, refusal.needed_bytes, refusal.available_bytes, where, reason=reason,
        command=command,
    )  # fmt: skip


def fitting(
    index: Index, rows: Iterable[Row], machine: Machine, config: Config
) -> Iterator[tuple[Row, Fit]]:
    """The rows that ``plan`` finds a way for, in their order."""
    for row in rows:
        if not row.variants:  # no weights: nothing that could be planned
            continue
        fit = fit_of(index.model(row.row), machine, config, brief=True)
        if fit.verdict is Verdict.FITS:
            yield row, fit
