"""Which work a backend is fit for, by the time that its answers take. Pure."""

from __future__ import annotations

from typing import Literal

LOW_COMPLEXITY_MS, BACKGROUND_MS = 1500.0, 4000.0

Suitability = Literal[
    "good_for_low_complexity", "usable_for_background_tasks", "available_but_slow", "cold_only",
    "unknown",
]  # fmt: skip


def suitability(loaded: bool | None, p50_ms: float | None) -> Suitability:
    """The class of a backend: ``cold_only`` without a loaded model, unknown without a median."""
    if loaded is False:
        return "cold_only"
    if p50_ms is None:
        return "unknown"
    if p50_ms <= LOW_COMPLEXITY_MS:
        return "good_for_low_complexity"
    return "usable_for_background_tasks" if p50_ms <= BACKGROUND_MS else "available_but_slow"
