"""What one vendor's probe found."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Link, Problem


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Devices numbered as the vendor does, what is wrong, and how they are joined."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
