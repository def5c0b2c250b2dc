"""The result of one vendor's probe."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Link, Problem


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Devices with the vendor's numbering, problems, and links between devices."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[Problem, ...] = ()
    links: tuple[Link, ...] = ()
