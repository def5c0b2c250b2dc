"""The smallest hardware that is large enough: common cards and sets of them, small to large."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.machine import EngineHere, Machine, every_engine
from modelscan.core.plan import RequiredHardware, ResolvedModel
from modelscan.core.units import GIB, format_bytes
from modelscan.planner import refuse
from modelscan.planner.context import Option, PlanningContext, estimator
from modelscan.planner.feasibility import FittingOption
from modelscan.planner.fit import fit, least_bytes
from modelscan.planner.recipes import with_recipe
from modelscan.planner.refuse import weight_bytes
from modelscan.planner.search import options
from modelscan.planner.starts import starting
from modelscan.planner.user_flags import apply_user_flags

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

_DRIVER_SHARE = 0.02  # approximate share that firmware and driver reserve


class Card(NamedTuple):
    """A common card; memory and bandwidth as its manufacturer states them."""

    name: str
    memory_gib: int
    capability: str
    bandwidth_gb_s: int


LADDER = (
    Card("RTX 4060 8GB", 8, "8.9", 272),
    Card("RTX 3060 12GB", 12, "8.6", 360),
    Card("RTX 5060 Ti 16GB", 16, "12.0", 448),
    Card("RTX 4090 24GB", 24, "8.9", 1008),
    Card("RTX 5090 32GB", 32, "12.0", 1792),
    Card("L40S 48GB", 48, "8.9", 864),
    Card("H100 80GB", 80, "9.0", 3350),
    Card("RTX PRO 6000 96GB", 96, "12.0", 1792),
    Card("H200 141GB", 141, "9.0", 4800),
    Card("B200 180GB", 180, "10.0", 7700),
)
_COUNTS = (1, 2, 4, 8)
_WORST_LOSS = 0.15  # about Q3_K_M: below it, a smaller model is the better choice
_HOST = Host(cpus=16, memory_bytes=64 * GIB, free_bytes=56 * GIB)


def cards(card: Card, count: int) -> tuple[Gpu, ...]:
    """``count`` idle cards."""
    memory = card.memory_gib * GIB
    return tuple(
        Gpu(
            index=index, name=card.name, vendor="nvidia", memory_bytes=memory,
            free_bytes=int(memory * (1 - _DRIVER_SHARE)), source="simulated",
            compute_capability=card.capability,
            memory_bandwidth_bytes_per_s=card.bandwidth_gb_s * 10**9,
        )
        for index in range(count)
    )  # fmt: skip


def _rungs() -> Iterator[tuple[Card, int]]:
    rungs = [(card, count) for card in LADDER for count in _COUNTS]
    return iter(sorted(rungs, key=lambda rung: (rung[0].memory_gib * rung[1], rung[1])))


def required(model: ResolvedModel, case: PlanningContext) -> tuple[RequiredHardware, ...]:
    """The smallest single card, the smallest set of cards, and how many of this machine's cards."""
    wishes = replace(case.wishes, gpus=None, tensor_parallel=None)
    base = replace(case, wishes=wishes, offload=False)
    rows: list[RequiredHardware] = []
    single = several = False
    for card, count in _rungs():
        if (single and count == 1) or (several and count > 1) or (single and several):
            continue
        fitting = smallest(model, base, cards(card, count))
        if fitting is None:
            continue
        rows.append(_row(card.name, count, card.memory_gib * GIB, fitting))
        single, several = single or count == 1, several or count > 1
    return (*rows, *_more_of_these(model, base, case.inventory))


def needed(
    model: ResolvedModel, wishes: Workload, machine: Machine
) -> tuple[RequiredHardware, ...]:
    """The smallest hardware for each format (``plan --gpus-needed``). Raises NotDeployableError for
    closed weights.
    """
    refuse.closed(model)
    case = PlanningContext(
        machine=machine,
        inventory=machine.inventory,
        wishes=replace(apply_user_flags(wishes), gpus=None, tensor_parallel=None),
        task="embedding" if wishes.embedding else model.task,
        estimate=estimator(model.id),
        offload=False,
    )
    rows: dict[tuple[str, str | None], RequiredHardware] = {}
    for candidate in model.candidates:
        key = (candidate.variant.format, candidate.variant.quantization)
        if key in rows:
            continue
        alone = replace(model, candidates=(candidate,))
        for card, count in _rungs():
            fitting = smallest(alone, case, cards(card, count))
            if fitting is not None:
                rows[key] = _row(card.name, count, card.memory_gib * GIB, fitting)
                break
    return tuple(sorted(rows.values(), key=lambda row: row.memory_bytes * row.count))


def _more_of_these(
    model: ResolvedModel, case: PlanningContext, inventory: Inventory
) -> Iterator[RequiredHardware]:
    kinds = {(gpu.name, gpu.memory_bytes): gpu for gpu in inventory.gpus if gpu.memory_bytes}
    for gpu in kinds.values():
        for count in (2, 4, 8):
            if count <= sum(other.name == gpu.name for other in inventory.gpus):
                continue
            idle = tuple(replace(gpu, index=index, worker=None) for index in range(count))
            fitting = smallest(model, case, idle)
            if fitting is not None:
                yield _row(gpu.name, count, gpu.memory_bytes or 0, fitting)
                break


def _row(name: str, count: int, memory: int, fitting: FittingOption) -> RequiredHardware:
    variant = fitting.option.candidate.variant
    total = format_bytes(fitting.estimate.total_bytes)
    weights = variant.quantization or variant.format
    return RequiredHardware(
        name=name, count=count, memory_bytes=memory,
        reason=f"{weights} on {fitting.option.backend} needs {total}",
    )  # fmt: skip


def smallest(
    model: ResolvedModel, case: PlanningContext, gpus: tuple[Gpu, ...]
) -> FittingOption | None:
    """The smallest variant that fits entirely on exactly these idle cards; None if none does."""
    inventory = Inventory(gpus=gpus, host=_HOST, source="simulated")
    simulated = replace(case, inventory=inventory)
    engines = _engines(case.machine)
    room = sum(gpu.free_bytes or 0 for gpu in gpus)
    if _least(model) > room:
        return None
    available = options(model, simulated, engines, [gpus]).options
    choices = _decent([option for option in available if option.gpus and _size(option)])
    for option in sorted(choices, key=_size):
        if least_bytes(option, simulated) > room:
            break
        try:
            published, launch = starting(with_recipe(option, model, simulated), simulated)
            fitting = fit(published, simulated) if launch else None
        except (NotDeployableError, UsageError):
            continue  # the engine rejects the setting, or the size is not known
        if isinstance(fitting, FittingOption) and not fitting.within_margin:
            return fitting
    return None


def _engines(machine: Machine) -> tuple[EngineHere, ...]:
    """Engines for hardware to be bought: those installed here and those that could be."""
    names = (*(engine.name for engine in machine.engines), *(gap.name for gap in machine.missing))
    return every_engine(dict.fromkeys(names))


def _least(model: ResolvedModel) -> int:
    """The smallest lower bound in bytes of any variant."""
    return min((candidate.floor_bytes or 0 for candidate in model.candidates), default=0)


def _decent(choices: list[Option]) -> list[Option]:
    """The options without formats that degrade the model severely, if any other exists."""
    good = [option for option in choices if _loss(option) <= _WORST_LOSS]
    return good or choices


def _loss(option: Option) -> float:
    quality = option.candidate.quality
    return quality.loss if quality else 0.0


def _size(option: Option) -> int:
    """0: not known, which is no hardware's size."""
    return option.candidate.floor_bytes or weight_bytes(option.candidate) or 0
