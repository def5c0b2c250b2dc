"""Memory of GPUs that use the machine's memory: how much of it an engine can allocate."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.units import GIB

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, Host

# Memory used by an idle system, assumed for simulated machines; a probe measures it.
IDLE_SYSTEM_BYTES = 3 * GIB


def apple_working_set(memory_bytes: int) -> int:
    """Metal's recommendedMaxWorkingSetSize: two thirds of memory, three quarters from 36 GB up.

    As logged by llama.cpp on Macs: 10.7 of 16 GiB, 21.3 of 32, 27 of 36, 48 of 64, 96 of 128.
    ``sysctl iogpu.wired_limit_mb`` raises it.
    """
    if memory_bytes >= 36 * GIB:
        return memory_bytes * 3 // 4
    return memory_bytes * 2 // 3


def apu_usable(memory_bytes: int) -> int:
    """The maximum for an AMD APU: three quarters of memory, the largest carve-out in its BIOS.

    By default the Linux kernel maps half of the memory; ``ttm.pages_limit`` allows more.
    """
    return memory_bytes * 3 // 4


def apu_memory(vram_bytes: int | None, gtt_bytes: int | None, host_bytes: int | None) -> int | None:
    """Bytes that an engine can use on an APU: the larger of carve-out and GTT, at most the host's.

    They are not added: llama.cpp and Ollama allocate from one of them, and on some machines their
    sum exceeds the installed memory (132 GiB on a 128 GiB Strix Halo).
    """
    sizes = [size for size in (vram_bytes, gtt_bytes) if size]
    if not sizes:
        return None
    best = max(sizes)
    if host_bytes is not None and best != vram_bytes:
        best = min(best, host_bytes)  # GTT is part of host memory, a carve-out is not
    return best


# CUDA's total of an RTX Spark N1X: 46,477 MiB, with 8,128 MiB set aside, of 54.2 GiB that the
# system reports on a machine sold with 64 GB. Measured on Windows, assumed elsewhere.
_RTX_SPARK = re.compile(r"RTX Spark|\bN1X?\b")
_OF_REPORTED, _OF_SOLD = 0.837, 0.709


def shares_in_part(name: str) -> bool:
    """Whether CUDA offers only a part of the memory that this NVIDIA chip shares (N1, N1X)."""
    return bool(_RTX_SPARK.search(name))


def rtx_spark_usable(memory_bytes: int, *, reported: bool) -> int:
    """What CUDA offers of a machine's memory: as its system reports it, or as it is sold."""
    return round(memory_bytes * (_OF_REPORTED if reported else _OF_SOLD))


def default_unified_memory(name: str) -> int:
    """The memory size to simulate if only the chip is named: its most common smaller
    configuration.
    """
    sizes = {"Ultra": 64, "Max": 36, "Pro": 24, "8060S": 64, "8050S": 32,
             "N1X": 32}  # fmt: skip
    for word, gib in sizes.items():
        if name.endswith(word):
            return gib * GIB
    return 16 * GIB


def with_unified_memory(gpu: Gpu, host: Host) -> Gpu:
    """Set an APU's memory to the larger of its carve-out and its mappable memory, never their
    sum.
    """
    if not gpu.unified_memory:
        return gpu
    total = apu_memory(gpu.dedicated_bytes, gpu.shared_bytes, host.memory_bytes)
    free = gpu.free_bytes
    if total is not None and total != gpu.dedicated_bytes:
        free = None if host.free_bytes is None else min(total, host.free_bytes)
    return replace(gpu, memory_bytes=total, free_bytes=free)


def with_host_memory(gpu: Gpu, host: Host) -> Gpu:
    """Set a unified chip's memory to the machine's total and available memory, without swap."""
    used, total, free = None, host.memory_bytes, host.free_bytes
    if total is not None and free is not None:
        used = total - free
    if total is not None and shares_in_part(gpu.name):
        total = rtx_spark_usable(total, reported=True)
        free = None if free is None else min(free, total)
    return replace(
        gpu, memory_bytes=total, free_bytes=free, used_bytes=used,
        reserved_bytes=None, unified_memory=True,
    )  # fmt: skip
