"""Whether and how a catalog model runs on a machine, for ``catalog info`` and ``--fits``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING

from modelscan.catalog.answers import LeftOutReason
from modelscan.catalog.search.lookup import load_model
from modelscan.core.errors import ModelscanError
from modelscan.core.fit import Fit
from modelscan.core.verdict import Verdict
from modelscan.core.workload import Workload
from modelscan.models.decide import decide_here
from modelscan.models.from_catalog import from_model
from modelscan.models.measured_quality import with_measured_quality
from modelscan.planner.context import device_label
from modelscan.planner.feasibility import available_bytes, host_free

if TYPE_CHECKING:
    from modelscan.catalog.index.read import Index
    from modelscan.catalog.search.types import Row
    from modelscan.core.gpu import Inventory
    from modelscan.core.machine import Machine
    from modelscan.core.model import Model
    from modelscan.core.plan import Decision, Plan, Refusal
    from modelscan.state.config import Config


def default_wishes(config: Config) -> Workload:
    """The wishes of a ``plan`` without options."""
    return Workload(goal=config.goal)


def fit_of(model: Model, machine: Machine, config: Config, *, brief: bool = False) -> Fit:
    """The answer of ``plan`` for this model; ``brief`` omits the reasons and alternatives of a
    refusal.
    """
    wishes = default_wishes(config)
    try:
        resolved = from_model(model, config, wishes, ask=not brief)
        resolved = with_measured_quality(resolved, config.paths)
        decision = decide_here(machine, resolved, wishes, brief=brief)
    except ModelscanError as error:  # its files cannot be read
        return Fit(Verdict.UNKNOWN, None, None, machine.where, reason=error.message,
                   command=error.hint)  # fmt: skip
    return as_fit(decision, machine)


def as_fit(decision: Decision, machine: Machine) -> Fit:
    """A decision in the form that ``catalog`` shows."""
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
    if plan.offload == "partial" or plan.estimate.total_bytes > free:  # a part is on the host
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


_LEFT_OUT = {
    Verdict.DOES_NOT_FIT: LeftOutReason.TOO_LARGE,
    Verdict.NOT_SUPPORTED: LeftOutReason.NO_ENGINE,
    Verdict.UNKNOWN: LeftOutReason.NOTHING_KNOWN,
}


def fitting(
    index: Index,
    rows: Iterable[Row],
    machine: Machine,
    config: Config,
    left_out: Counter[LeftOutReason] | None = None,
    known: MutableMapping[str, Fit] | None = None,
) -> Iterator[tuple[Row, Fit]]:
    """The rows that ``plan`` finds an option for, in their order.

    ``left_out`` receives the number of the others, by reason. ``known``: answers of before for the
    same machine, by the models' ids; new ones are added.
    """
    counts = Counter() if left_out is None else left_out
    answers = {} if known is None else known
    for row in rows:
        if not row.variants:  # no weights to plan
            counts[LeftOutReason.NOTHING_KNOWN] += 1
            continue
        fit = answers.get(row.id)
        if fit is None:
            fit = fit_of(load_model(index, row.row), machine, config, brief=True)
            answers[row.id] = fit
        if fit.verdict is Verdict.FITS:
            yield row, fit
        else:
            counts[_LEFT_OUT[fit.verdict]] += 1
