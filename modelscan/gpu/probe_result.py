"""What one vendor's probe found."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Host, Link, Problem


@dataclass(frozen=True, slots=True)
class Found:
    """Devices numbered as the vendor does, what is wrong, and how they are joined."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()


def host_memory(gpu: Gpu, host: Host) -> Gpu:
    """A unified chip's memory is the machine's: what is there and available, without swap."""
    from dataclasses import replace

    used = None
    if host.memory_bytes is not None and host.free_bytes is not None:
        used = host.memory_bytes - host.free_bytes
    return replace(
        gpu, memory_bytes=host.memory_bytes, free_bytes=host.free_bytes, used_bytes=used,
        reserved_bytes=None, unified_memory=True,
    )  # fmt: skip
