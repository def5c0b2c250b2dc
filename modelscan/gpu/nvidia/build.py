"""Builds devices from what nvidia-smi reports of a card: MIG slices, unified chips, broken cards.

The XML, ``-q`` text, CSV and table parsers each fill ``CardReport``; the rules are only here.
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
# Chips without memory of their own; some report a part of the machine's memory.
_UNIFIED = re.compile(
    r"\(nvgpu\)|\b(rtx spark|dgx spark|gb10|n1x?|thor|orin|xavier|tegra)\b", re.IGNORECASE
)
# Number of multiprocessors -> number of compute slices: A100 and A30 (14), H100 family (16).
_SLICES = {14: 1, 28: 2, 42: 3, 56: 4, 98: 7, 16: 1, 32: 2, 46: 3, 60: 3, 64: 4, 132: 7}


@dataclass(slots=True)
class Slice:
    """A MIG instance as reported by a tool; memory in bytes."""

    gpu_instance: int | None = None
    compute_instance: int | None = None
    total: int | None = None
    used: int | None = None
    free: int | None = None
    multiprocessors: int | None = None
    profile: str | None = None
    uuid: str | None = None


@dataclass(slots=True)
class CardReport:
    """A card as reported by a tool.

    ``memory_text``: the memory field's text (``N/A``, ``ERR!``). ``coherent``: the GPU uses the
    CPU's page tables (addressing mode ATS).
    """

    index: int
    name: str | None = None
    uuid: str | None = None
    bus: str | None = None
    total: int | None = None
    used: int | None = None
    free: int | None = None
    reserved: int | None = None
    memory_text: str = ""
    capability: str | None = None
    driver: str | None = None
    utilization: float | None = None
    pci_device_id: str | None = None
    memory_clock: float | None = None
    mig_enabled: bool = False
    coherent: bool = False
    slices: list[Slice] = field(default_factory=list)
    # (process, GPU instance or None)
    processes: list[tuple[GpuProcess, int | None]] = field(default_factory=list)


def build(
    cards: list[CardReport], source: str, vendor: str = "nvidia"
) -> tuple[tuple[Gpu, ...], tuple[Problem, ...]]:
    """The usable devices, and the problems of the others."""
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


def is_broken(text: str) -> bool:
    """True if a field's text means a device failure: ``ERR!``, ``[Unknown Error]``."""
    return bool(_BROKEN.search(text))


def _problem(card: CardReport) -> Problem | None:
    where = f"GPU {card.index}" + (f" ({card.bus})" if card.bus else "")
    text = card.name or ""  # a card whose name cannot be read is broken
    if not is_broken(text) and card.total is None:
        text = card.memory_text
    if is_broken(text):
        return Problem(
            "broken_gpu",
            f"{where}: the driver reports '{text.strip()}'; it is excluded",
            "reset it with nvidia-smi -r, or reboot; then check: dmesg | grep -i xid",
        )
    if card.mig_enabled and not card.slices:
        return Problem(
            "mig_without_instances",
            f"{where} is in MIG mode and has no instances, so nothing can run on it",
            f"sudo nvidia-smi mig -i {card.index} -cgi 0 -C, or turn MIG off: -mig 0",
        )
    return None


def _whole(card: CardReport, source: str, vendor: str) -> Gpu:
    name = card.name or f"{vendor} GPU"
    unified = _is_unified(card, name)
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
        dedicated_bytes=(card.total or None) if unified else None,
    )  # fmt: skip


def _is_unified(card: CardReport, name: str) -> bool:
    """Whether the GPU uses the machine's memory: by its name, else by what the driver lacks.

    A superchip with memory of its own (GH200) is coherent as well: the table knows those.
    """
    if _UNIFIED.search(name) and not _has_board(name):
        return True
    if card.total not in (None, 0):
        return card.coherent and not _has_board(name)
    no_memory = bool(_NO_BOARD_MEMORY.search(name)) or _is_unsupported(card.memory_text)
    return no_memory and not _has_board(name)


def _is_unsupported(text: str) -> bool:
    return text.strip().lower() in ("n/a", "[n/a]", "not supported", "[not supported]")


def _has_board(name: str) -> bool:
    """True if the table lists this chip with separate memory, even if the driver reports none."""
    from modelscan.gpu.facts import lookup

    facts = lookup(name)
    return facts is not None and not facts.unified_memory


def _slices(card: CardReport, source: str) -> list[Gpu]:
    gpus = []
    for position, part in enumerate(card.slices):
        profile = part.profile or mig_profile(part.multiprocessors, part.total, card.total)
        gpus.append(
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
    return gpus


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
