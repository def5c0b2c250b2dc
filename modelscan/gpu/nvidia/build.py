"""From what any nvidia-smi form tells of a card to devices: MIG slices, unified chips, broken ones.

The XML, ``-q`` text, CSV and table parsers each fill ``Card``; the rules are here once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from modelscan.core.gpu import Gpu, GpuProcess, Problem
from modelscan.core.units import GIB, MIB
from modelscan.gpu.reading import MAX_DEVICES, free_of, pci_address

_BROKEN = re.compile(
    r"gpu is lost|requires? reset|unknown error|err!|fallen off|xid|detected device error", re.I
)
_NO_BOARD_MEMORY = re.compile(r"\(nvgpu\)|^(nvidia )?(gb10|thor|orin|tegra)\b", re.I)
# Multiprocessors of a compute slice, by how many there are: A100 and A30 (14), H100 family (16).
_SLICES = {14: 1, 28: 2, 42: 3, 56: 4, 98: 7, 16: 1, 32: 2, 46: 3, 60: 3, 64: 4, 132: 7}


@dataclass(slots=True)
class Slice:
    """A MIG instance as a tool tells it; memory in bytes."""

    gpu_instance: int | None = None
    compute_instance: int | None = None
    total: int | None = None
    used: int | None = None
    free: int | None = None
    multiprocessors: int | None = None
    profile: str | None = None
    uuid: str | None = None


@dataclass(slots=True)
class Card:
    """A board as a tool tells it; ``said`` is the memory field's text (``N/A``, ``ERR!``)."""

    index: int
    name: str | None = None
    uuid: str | None = None
    bus: str | None = None
    total: int | None = None
    used: int | None = None
    free: int | None = None
    reserved: int | None = None
    said: str = ""
    capability: str | None = None
    driver: str | None = None
    utilization: float | None = None
    pci_device_id: str | None = None
    memory_clock: float | None = None
    mig_enabled: bool = False
    slices: list[Slice] = field(default_factory=list)
    # (process, GPU instance or None)
    processes: list[tuple[GpuProcess, int | None]] = field(default_factory=list)


def build(
    cards: list[Card], source: str, vendor: str = "nvidia"
) -> tuple[tuple[Gpu, ...], tuple[Problem, ...]]:
    """Schedulable devices and what is wrong with the rest."""
    gpus: list[Gpu] = []
    problems: list[Problem] = []
    mixed = any(card.slices for card in cards)
    for card in cards[:MAX_DEVICES]:
        problem = _problem(card)
        if problem is not None:
            problems.append(problem)
            continue
        for gpu in _slices(card, source) or [_whole(card, source, vendor)]:
            gpus.append(replace(gpu, index=len(gpus)) if mixed else gpu)
    return tuple(gpus), tuple(problems)


def is_broken(said: str) -> bool:
    """Whether a field says that the device does not answer: ``ERR!``, ``[Unknown Error]``."""
    return bool(_BROKEN.search(said))


def _problem(card: Card) -> Problem | None:
    where = f"GPU {card.index}" + (f" ({card.bus})" if card.bus else "")
    said = card.name or ""  # a card whose very name cannot be asked is broken, whatever it holds
    if not is_broken(said) and card.total is None:
        said = card.said
    if is_broken(said):
        return Problem(
            "broken_gpu",
            f"{where}: the driver says '{said.strip()}'; it is left out",
            "nvidia-smi -r resets it, or reboot; then look at: dmesg | grep -i xid",
        )
    if card.mig_enabled and not card.slices:
        return Problem(
            "mig_without_instances",
            f"{where} is in MIG mode and has no instances: nothing can run on it",
            f"sudo nvidia-smi mig -i {card.index} -cgi 0 -C, or turn MIG off: -mig 0",
        )
    return None


def _whole(card: Card, source: str, vendor: str) -> Gpu:
    name = card.name or f"{vendor} GPU"
    unified = card.total in (None, 0) and (
        bool(_NO_BOARD_MEMORY.search(name)) or (_says_nothing(card.said) and not _has_board(name))
    )
    total = None if unified else card.total
    free = card.free if card.free is not None else free_of(total, card.used, card.reserved)
    return Gpu(
        index=card.index, name=name, vendor=vendor, memory_bytes=total,
        free_bytes=None if unified else free, source=source, uuid=card.uuid,
        used_bytes=None if unified else card.used, reserved_bytes=card.reserved or None,
        compute_capability=card.capability, driver_version=card.driver, unified_memory=unified,
        pci_bus_id=pci_address(card.bus), vendor_index=card.index, pci_device_id=card.pci_device_id,
        utilization_percent=card.utilization, processes=tuple(p for p, _ in card.processes),
        memory_clock_mhz=round(card.memory_clock) if card.memory_clock else None,
    )  # fmt: skip


def _says_nothing(said: str) -> bool:
    return said.strip().lower() in ("n/a", "[n/a]", "not supported", "[not supported]")


def _has_board(name: str) -> bool:
    """A chip known to have memory of its own: that a driver does not tell it does not change it."""
    from modelscan.gpu.facts import lookup

    facts = lookup(name)
    return facts is not None and not facts.unified_memory


def _slices(card: Card, source: str) -> list[Gpu]:
    found = []
    for position, part in enumerate(card.slices):
        profile = part.profile or mig_profile(part.multiprocessors, part.total, card.total)
        found.append(
            Gpu(
                index=card.index, name=f"{card.name or 'NVIDIA GPU'} MIG {profile}",
                vendor="nvidia", memory_bytes=part.total,
                free_bytes=part.free if part.free is not None else free_of(part.total, part.used),
                source=source, uuid=part.uuid, used_bytes=part.used, mig=profile,
                compute_capability=card.capability, driver_version=card.driver,
                pci_bus_id=pci_address(card.bus), parent_uuid=card.uuid, vendor_index=card.index,
                pci_device_id=card.pci_device_id, mig_index=position,
                processes=tuple(p for p, own in card.processes if own == part.gpu_instance),
            )
        )  # fmt: skip
    return found


def mig_profile(multiprocessors: int | None, total: int | None, board: int | None) -> str:
    """``2g.20gb`` from a slice's multiprocessors and its eighths of the board's memory."""
    slices = _SLICES.get(multiprocessors or 0)
    if slices is None or not total or not board:
        return "unknown"
    board_gb = round(board / GIB)
    # NVIDIA names slices after the board as sold: 81,559 MiB are "80gb".
    sold = next((s for s in (24, 40, 80, 94, 96, 141, 180) if abs(s - board_gb) <= 2), board_gb)
    eighths = max(1, round(total / board * 8))
    return f"{slices}g.{round(sold * eighths / 8)}gb"


def mib(amount: str | int | None) -> int | None:
    """MiB as bytes."""
    return None if amount is None else int(amount) * MIB
