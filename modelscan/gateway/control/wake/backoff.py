"""How long a deployment that did not start is left alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S, MOST_S = 10.0, 600.0


@dataclass(frozen=True, slots=True)
class FailedWake:
    """The last ``count`` starts failed, for ``reason``; the next one not before ``until``."""

    count: int
    until: float
    reason: str


def after_failure(before: FailedWake | None, reason: str, now: float) -> FailedWake:
    """One more failure: each pause is twice as long as the one before."""
    count = 1 if before is None else before.count + 1
    pause = min(MOST_S, FIRST_S * 2 ** min(count - 1, 10))
    return FailedWake(count, now + pause, reason)
