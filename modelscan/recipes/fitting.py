"""Whether a recipe fits a machine or a job, with reasons, and what would fit. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.units import GIB, format_bytes
from modelscan.planner.hardware import LADDER
from modelscan.recipes.types import RecipeFit, RecipeNeeds

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.machine import Machine
    from modelscan.recipes.kind import GpuNeed

_USABLE = 0.98  # of a card's memory: firmware and driver reserve the rest


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another method or setting, and what it needs."""

    text: str
    needs: RecipeNeeds


@dataclass(frozen=True, slots=True)
class RecipeRoom:
    """What a machine has: the largest GPU (None: none that counts), memory and disk; None = not
    known.
    """

    where: str
    gpu: str | None
    gpu_bytes: int | None
    host_bytes: int | None
    disk_bytes: int | None
    missing_gpu: str = "this machine has no GPU"


def room_of(machine: Machine, need: GpuNeed, disk_bytes: int | None) -> RecipeRoom:
    """The room of this machine; an NVIDIA GPU is one that PyTorch's CUDA build can use."""
    inventory = machine.free_inventory()
    gpus = [gpu for gpu in inventory.gpus if need != "nvidia" or gpu.vendor == "nvidia"]
    best = max(gpus, key=_memory, default=None)
    missing = f"{machine.where} has no {'NVIDIA ' if need == 'nvidia' else ''}GPU"
    if machine.simulated:
        host = disk_bytes = None  # nothing is known about the rest of simulated hardware
    else:
        host = inventory.host.free_bytes
    name = None if best is None else best.name
    size = None if best is None else best.free_bytes or best.memory_bytes
    return RecipeRoom(machine.where, name, size, host, disk_bytes, missing)


def _memory(gpu: Gpu) -> int:
    return gpu.free_bytes or gpu.memory_bytes or 0


def fit(
    needs: RecipeNeeds, room: RecipeRoom, need: GpuNeed, alternatives: Iterable[Alternative] = ()
) -> RecipeFit:
    """The verdict with its reasons; what would fit only where it does not."""
    against = [*_gpu(needs, room, need), *_rest(needs, room)]
    if against:
        others = [one.text for one in alternatives if _fits(one.needs, room, need)]
        would = (*others, *_cards(needs, need)) if needs.gpu_bytes else tuple(others)
        return RecipeFit("does_not_fit", room.where, tuple(against), would)
    unknown = _unknown(needs, room, need)
    if unknown:
        return RecipeFit("unknown", room.where, tuple(unknown))
    return RecipeFit("fits", room.where, tuple(_reasons(needs, room, need)))


def _fits(needs: RecipeNeeds, room: RecipeRoom, need: GpuNeed) -> bool:
    """Whether an alternative fits, as far as it is known."""
    return not _gpu(needs, room, need) and not _rest(needs, room) and needs.gpu_bytes is not None


def _gpu(needs: RecipeNeeds, room: RecipeRoom, need: GpuNeed) -> list[str]:
    """Reasons against, of the GPU."""
    if not _needs_gpu(needs, need):
        return []
    if room.gpu is None:
        amount = f": it needs {format_bytes(needs.gpu_bytes)} on one" if needs.gpu_bytes else ""
        return [f"{room.missing_gpu}{amount}"]
    if needs.gpu_bytes and room.gpu_bytes is not None and needs.gpu_bytes > room.gpu_bytes:
        return [
            f"it needs {format_bytes(needs.gpu_bytes)} on one GPU; {room.gpu} has "
            f"{format_bytes(room.gpu_bytes)} free"
        ]
    return []


def _needs_gpu(needs: RecipeNeeds, need: GpuNeed) -> bool:
    return need == "nvidia" and needs.gpu_bytes != 0 and not needs.optional_gpu


def _rest(needs: RecipeNeeds, room: RecipeRoom) -> list[str]:
    """Reasons against, of memory and disk."""
    pairs = (("memory", needs.host_bytes, room.host_bytes),
             ("disk", needs.disk_bytes, room.disk_bytes))  # fmt: skip
    return [
        f"it needs {format_bytes(wish)} of {name}; {room.where} has {format_bytes(free)} free"
        for name, wish, free in pairs
        if wish is not None and free is not None and wish > free
    ]


def _unknown(needs: RecipeNeeds, room: RecipeRoom, need: GpuNeed) -> Sequence[str]:
    if needs.gpu_bytes is None:
        return needs.assumptions or ("its needs are not known",)
    if _needs_gpu(needs, need) and room.gpu_bytes is None:
        return (f"the memory of {room.gpu} is not known",)
    return ()


def _reasons(needs: RecipeNeeds, room: RecipeRoom, need: GpuNeed) -> Iterable[str]:
    if needs.gpu_bytes and room.gpu is not None and (room.gpu_bytes or 0) >= needs.gpu_bytes:
        free = format_bytes(room.gpu_bytes)
        yield f"{format_bytes(needs.gpu_bytes)} of {free} free on {room.gpu}"
    elif needs.gpu_bytes and needs.optional_gpu:
        state = "no GPU" if room.gpu is None else f"only {format_bytes(room.gpu_bytes)} on a GPU"
        yield f"{room.where} has {state}: it runs on the processor, slowly"
    if needs.host_bytes and room.host_bytes:
        yield f"{format_bytes(needs.host_bytes)} of {format_bytes(room.host_bytes)} memory"
    if needs.disk_bytes and room.disk_bytes:
        yield f"{format_bytes(needs.disk_bytes)} of {format_bytes(room.disk_bytes)} disk"


def _cards(needs: RecipeNeeds, need: GpuNeed) -> tuple[str, ...]:
    """The smallest common card that is large enough."""
    if needs.gpu_bytes is None or need == "none":
        return ()
    for card in LADDER:
        if card.memory_gib * GIB * _USABLE >= needs.gpu_bytes:
            return (f"one {card.name}",)
    return ()
