"""From the gateway's state to the scheduler's values, and from its decisions to the workers'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.swap_policy import NO_SWAP_POLICY
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.wake.observed import Observed, Waiting, flying, routed
from modelscan.gateway.control.wake.situation import Phase, Sleepable
from modelscan.gateway.snapshot import Wake
from modelscan.targets.local.room import MemoryNow

_NOBODY = Waiting(0, 0.0)
_CLOSED: tuple[Phase, ...] = ("asleep", "starting", "closing", "stopping")


def gathered(
    gateway: Gateway, seen: Observed, waiting: Mapping[str, Waiting], memory: MemoryNow
) -> tuple[Sleepable, ...]:
    """Every deployment that requests may reach, or that has memory of this machine."""
    backends, rows = routed(gateway), gateway.loaded.deployments
    names = {*waiting, *backends, *(one for one in rows if rows[one].target == "local")}
    return tuple(
        _sleepable(rows.get(name), name, seen, waiting.get(name, _NOBODY), memory,
                   None if name not in backends else flying(gateway, backends[name]))
        for name in sorted(names)
    )  # fmt: skip


def _sleepable(
    row: Deployment | None,
    name: str,
    seen: Observed,
    waits: Waiting,
    memory: MemoryNow,
    requests: int | None,
) -> Sleepable:
    """``requests`` under way; None: no entry leads to it (yet). Where that is so on purpose, no
    request could wake it again, so that it stays."""
    phase = seen.phase(row)
    failure = seen.failures.get(name)
    swap = NO_SWAP_POLICY if row is None else row.swap
    withheld = row is not None and (row.route is None or row.routed)
    if requests is None and withheld:
        swap = replace(swap, pin=True)
    since = seen.closing.get(name) if phase == "closing" else seen.ready_since.get(name)
    blocked = phase == "asleep" and failure is not None
    return Sleepable(
        name=name,
        phase=phase,
        swap=swap,
        waiting=waits.requests,
        oldest_at=waits.oldest_at,
        flying=requests or 0,
        since=since or 0.0,
        used_at=seen.used_at.get(name, 0.0),
        needs=memory.needs.get(name, {}),
        least=memory.least.get(name, {}),
        holds=memory.holds.get(name, {}),
        not_before=failure.until if blocked and failure else seen.not_before.get(name, 0.0),
        reason=failure.reason if blocked and failure else why_ended(row, name),
    )


def why_ended(row: Deployment | None, name: str) -> str:
    """Why no request starts a deployment, with the command that does."""
    if row is None:
        return f"the deployment {name} is not recorded on this machine"
    because = f": {row.reason}" if row.reason else ""
    if row.state in (State.STOPPED, State.FAILED):
        return f"{name} is {row.state.value}{because}; start it: modelscan start {name}"
    return f"{name} is {row.state.value}{because}"


def wakes_of(
    gateway: Gateway, seen: Observed, waiting: Mapping[str, Waiting], now: float
) -> tuple[tuple[Wake, ...], frozenset[str]]:
    """What the workers receive, and the backends that get no requests meanwhile."""
    wakes: list[Wake] = []
    closed: set[str] = set()
    rows = gateway.loaded.deployments
    for name, backends in _all_backends(gateway, waiting).items():
        phase = seen.phase(rows.get(name))
        if phase in _CLOSED:
            closed |= set(backends)
        wake = _wake(rows.get(name), name, phase, seen, name in waiting, now)
        if wake is not None:
            wakes += [replace(wake, backend=backend) for backend in backends]
    return tuple(wakes), frozenset(closed)


def _all_backends(gateway: Gateway, waiting: Mapping[str, Waiting]) -> dict[str, tuple[str, ...]]:
    """Also of those that requests wait for and that no request may start any more."""
    found = routed(gateway)
    for route in gateway.loaded.file.routes:
        name = route.deployment
        if name is not None and name in waiting and name not in found:
            found[name] = (route.name,)
    return found


def _wake(
    row: Deployment | None, name: str, phase: Phase, seen: Observed, waits: bool, now: float
) -> Wake | None:
    failure, refused = seen.failures.get(name), seen.refused.get(name)
    if phase == "asleep" and failure is not None and failure.until > now:
        return Wake("", "refused", failure.reason, failure.until)
    if phase in ("asleep", "ready") and refused is not None:
        return Wake("", "refused", refused.reason, refused.again_at)
    if phase == "ready":
        return Wake("", "ready") if waits and name in seen.verified else None
    if phase == "ended":
        return Wake("", "refused", why_ended(row, name)) if waits else None
    return Wake("", "loading" if phase == "starting" else "asleep")
