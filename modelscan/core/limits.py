"""What an engine may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine may use of the machine. ``memory_bytes``: host memory it allocates; mapped
    files and GPUs are not counted. ``nice``: 0 to 19, as the program of that name."""

    memory_bytes: int | None = None
    nice: int = 0


NO_LIMITS = Limits()
