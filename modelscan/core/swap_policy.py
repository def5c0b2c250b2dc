"""How a deployment shares this machine's memory with others: pins, priorities, groups."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SwapPolicy:
    """``pin``: it never makes room. ``priority``: lower ones make room first. ``group``: of a
    group's members at most one runs. A change needs no restart.
    """

    pin: bool = False
    priority: int = 0
    group: str | None = None


NO_SWAP_POLICY = SwapPolicy()
