"""The rest of a simulated machine: its memory by class, never the memory of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.core.gpu import Host
from modelscan.core.units import GIB
from modelscan.gpu.unified import IDLE_SYSTEM_BYTES

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu

PLATFORM = "linux-x86_64"
# Common sizes of 2026: a desktop with a graphics card, a laptop, an office computer; a server has
# about twice the memory of its GPUs (DGX H100: 640 GiB of GPU memory, 2 TiB).
_DESKTOP, _LAPTOP, _OFFICE, _SERVER = 64 * GIB, 32 * GIB, 32 * GIB, 128 * GIB
_SERVER_CARD_BYTES = 40 * GIB
_CPUS = 16


def simulated_host(gpus: Sequence[Gpu], ram_bytes: int | None = None) -> Host:
    """The host of simulated GPUs with ``ram_bytes`` of memory, or with the usual size; the
    bandwidth of its memory is unknown.
    """
    return host_of(ram_bytes or usual_memory(gpus))


def usual_memory(gpus: Sequence[Gpu]) -> int:
    """Bytes of host memory of a machine with these GPUs, by class."""
    if not gpus:
        return _OFFICE
    largest = max(gpu.memory_bytes or 0 for gpu in gpus)
    if largest >= _SERVER_CARD_BYTES:
        return max(_SERVER, 2 * sum(gpu.memory_bytes or 0 for gpu in gpus))
    return _LAPTOP if any("Laptop" in gpu.name for gpu in gpus) else _DESKTOP


def host_of(
    memory_bytes: int,
    bandwidth: int | None = None,
    cpu: str | None = None,
    platform: str = PLATFORM,
) -> Host:
    """An idle host with ``bandwidth`` bytes per second of memory bandwidth."""
    free = max(0, memory_bytes - IDLE_SYSTEM_BYTES)
    return Host(_CPUS, memory_bytes, free, cpu, platform, bandwidth)
