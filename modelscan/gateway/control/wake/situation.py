"""What the scheduler decides by, and what it decides: values only.

Times are UNIX seconds; memory is bytes by pool (the index of a GPU, None: host memory).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from modelscan.core.swap_policy import NO_SWAP_POLICY, SwapPolicy

Pools = Mapping[int | None, int]
Phase = Literal["asleep", "starting", "ready", "closing", "stopping", "ended"]
"""closing: it gets no more requests, and ends when those under way are done. ended: no request may
start it (a user stopped it, or it failed by itself)."""


@dataclass(frozen=True, slots=True)
class Sleepable:
    """One deployment now.

    ``waiting`` requests wait for it since ``oldest_at``; ``flying`` are under way at it, of any
    client. ``since``: when its phase began. ``used_at``: when a request was last under way.
    ``needs`` and ``least``: to start with the estimate, and with it less its margin.
    ``not_before``: no start (or, while it is closing, no end) before that time, for ``reason``.
    """

    name: str
    phase: Phase
    swap: SwapPolicy = NO_SWAP_POLICY
    waiting: int = 0
    oldest_at: float = 0.0
    flying: int = 0
    since: float = 0.0
    used_at: float = 0.0
    needs: Pools = field(default_factory=dict)
    least: Pools = field(default_factory=dict)
    holds: Pools = field(default_factory=dict)
    not_before: float = 0.0
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything at one time. ``residence_s``: how long a deployment stays ready at least.
    ``settle_s``: how long one is closed before it may end: requests on their way arrive.
    ``patience_s``: how long one is closed at most, while its requests do not end."""

    now: float
    sleepables: tuple[Sleepable, ...]
    free: Pools = field(default_factory=dict)
    residence_s: float = 10.0
    settle_s: float = 0.2
    patience_s: float = 30.0


@dataclass(frozen=True, slots=True)
class StartNow:
    """Start it; requests wait for it."""

    name: str


@dataclass(frozen=True, slots=True)
class Close:
    """Send it no more requests: ``by`` needs its place."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Unload:
    """End it if nothing is under way: ``by`` needs its place."""

    name: str
    by: str


@dataclass(frozen=True, slots=True)
class Reopen:
    """It was closed, and its place is not needed any more, or its requests do not end."""

    name: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Its requests cannot be answered now; ``again_at``: when another try makes sense, if ever."""

    name: str
    reason: str
    again_at: float | None


Action = StartNow | Close | Unload | Reopen | Refuse
