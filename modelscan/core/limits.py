"""What an engine may use of the machine."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an engine's resource use.

    ``memory_bytes``: host memory it may allocate; mapped files and GPU memory are not counted.
    ``nice``: 0 to 19, as for the program ``nice``.
    """

    memory_bytes: int | None = None
    nice: int = 0


NO_LIMITS = Limits()
