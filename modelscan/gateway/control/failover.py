"""What a backend's probes and failed requests mean for its state. Pure: time is an argument.

Two failed probes in a row take a backend out (one may be chance); it comes back half open, with
one request at a time, and is up after one more good probe. A hosted backend is never probed,
because that costs money or tells a third party: only failed requests count there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from modelscan.gateway.counters import BackendState as Column
from modelscan.routing.table import RouteTable

INTERVAL_S = 15.0
DOWN_MOST_S = 5.0  # between two probes of a backend that is down
AGAIN_S = 1.0  # after a first failure, and until a recovering backend is up
STRIKES = 2
FAILED_REQUESTS = 3  # in a row, of a backend that is not probed
COOL_S, COOL_MOST_S = 10.0, 120.0
_JITTER = 0.2


class HealthState(Enum):
    """What is known of a backend: unknown until it was probed, or answered a request."""

    UNKNOWN = "unknown"
    UP = "up"
    HALF_OPEN = "half_open"
    COOLING = "cooling"
    DOWN = "down"


_COLUMNS = {
    HealthState.UNKNOWN: Column.UP,
    HealthState.UP: Column.UP,
    HealthState.HALF_OPEN: Column.HALF_OPEN,
    HealthState.COOLING: Column.COOLING,
    HealthState.DOWN: Column.DOWN,
}


@dataclass(frozen=True, slots=True)
class Health:
    """A backend's state; times in seconds of a monotonic clock.

    ``strikes`` are failed probes in a row, ``cooldowns`` the ones in a row, ``failed`` the failed
    requests in a row. ``reason`` says why it is not up.
    """

    state: HealthState = HealthState.UNKNOWN
    reason: str | None = None
    strikes: int = 0
    failed: int = 0
    cooldowns: int = 0
    next_at: float = 0.0
    checked_at: float | None = None


def after_probe(
    health: Health, fault: str | None, now: float, jitter: float, stretch: float = 1.0
) -> Health:
    """The state after a probe; ``fault`` None: it answered. ``jitter``: 0..1, at random.

    ``stretch``: how many times longer it is until the next one, while nothing is wrong.
    """
    if fault is None:
        recovering = health.state is HealthState.DOWN
        state = HealthState.HALF_OPEN if recovering else HealthState.UP
        pause = AGAIN_S if recovering else INTERVAL_S * stretch
        return Health(state, next_at=now + _spread(pause, jitter), checked_at=now)
    strikes = health.strikes + 1
    out = strikes >= STRIKES or health.state is HealthState.HALF_OPEN
    pause = min(DOWN_MOST_S, AGAIN_S * 2 ** max(0, strikes - STRIKES))
    return replace(
        health,
        state=HealthState.DOWN if out else health.state,
        reason=fault,
        strikes=strikes,
        next_at=now + _spread(pause, jitter),
        checked_at=now,
    )


def after_requests(health: Health, answered: int, failed: int, now: float) -> Health:
    """The state of a probed backend after requests: a failed one is reason to probe it now."""
    if failed and health.state is not HealthState.DOWN:
        return replace(health, next_at=min(health.next_at, now))
    return health


def after_hosted_requests(
    health: Health, answered: int, failed: int, now: float, jitter: float
) -> Health:
    """The state of a backend that is not probed, after so many requests since the last call."""
    if health.state is HealthState.COOLING and now >= health.next_at:
        health = replace(health, state=HealthState.HALF_OPEN)
    if answered:
        return Health(HealthState.UP)
    if not failed:
        return health
    count = health.failed + failed
    if count < FAILED_REQUESTS and health.state is not HealthState.HALF_OPEN:
        return replace(health, failed=count)
    pause = min(COOL_MOST_S, COOL_S * 2**health.cooldowns)
    return Health(
        HealthState.COOLING,
        f"{count} requests in a row failed",
        failed=count,
        cooldowns=health.cooldowns + 1,
        next_at=now + _spread(pause, jitter),
    )


def _spread(pause_s: float, jitter: float) -> float:
    """The pause, up to a fifth longer or shorter: gateways do not probe in step."""
    return pause_s * (1 + _JITTER * (2 * jitter - 1))


def columns(table: RouteTable, state_of: Callable[[str], HealthState]) -> Mapping[str, Column]:
    """What the data path is shown, by the backend's name.

    A backend that is down is left out of choices only where every route that has it has another
    one that is not: a route's only backend is tried last, but never refused for its past.
    """
    states = {backend.name: state_of(backend.name) for backend in table.backends}
    needed: set[str] = set()
    for entry in table.routes.values():
        names = {table.backends[one.backend].name for one in entry.candidates}
        if all(states[name] is HealthState.DOWN for name in names):
            needed |= names
    return {
        name: Column.COOLING if state is HealthState.DOWN and name in needed else _COLUMNS[state]
        for name, state in states.items()
    }
