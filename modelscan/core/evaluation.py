"""GPUStack's own opinion of a request, as it is shown and remembered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evaluation:
    """GPUStack's own opinion of a request. ``decided`` is False where it only could not judge."""

    compatible: bool
    decided: bool = True
    messages: tuple[str, ...] = ()
    vram_bytes: int | None = None
    ram_bytes: int | None = None
