"""A cluster's own evaluation of a request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evaluation:
    """GPUStack's evaluation of a request. ``decided`` is False if it could not evaluate it."""

    compatible: bool
    decided: bool = True
    messages: tuple[str, ...] = ()
    vram_bytes: int | None = None
    ram_bytes: int | None = None
