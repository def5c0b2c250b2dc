"""Partitions of a data-centre card (DPX, TPX, QPX, CPX), as amd-smi lists them.

Each partition is a device. Versions differ in what they report for it: the whole card's memory,
its own share, or nothing for all but the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu
from modelscan.gpu.facts import lookup
from modelscan.gpu.reading import free_of

_COUNTS = {"DPX": 2, "TPX": 3, "QPX": 4, "CPX": 8}  # of a card with eight dies
_SAME = 0.1


def partitioned(gpus: Sequence[Gpu], modes: Sequence[str | None]) -> tuple[Gpu, ...]:
    """The devices with each partition's own memory, in bytes; whole cards unchanged."""
    found: list[Gpu] = []
    position, first = 0, None
    for gpu, mode in zip(gpus, modes, strict=True):
        count = _COUNTS.get(mode or "", 1)
        if count == 1:
            found.append(gpu)
            position, first = 0, None
            continue
        if position % count == 0:
            first = gpu
        found.append(_partition(gpu, first or gpu, position % count, count))
        position += 1
    return tuple(found)


def _partition(gpu: Gpu, first: Gpu, position: int, count: int) -> Gpu:
    name = first.name if gpu.name.startswith("AMD GPU") else gpu.name
    facts = lookup(first.name)
    whole = facts.memory_bytes if facts else None
    total, used = gpu.memory_bytes, gpu.used_bytes
    if total is None:
        total, used = first.memory_bytes, None
    if total and whole and abs(total / whole - 1) < _SAME:
        total = total // count
        used = None if used is None else used // count
    return replace(
        gpu, name=f"{name} partition {position + 1} of {count}", memory_bytes=total,
        used_bytes=used, free_bytes=free_of(total, used),
        gfx_target=gpu.gfx_target or first.gfx_target,
    )  # fmt: skip
