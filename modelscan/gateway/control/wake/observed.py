"""What the waker keeps in mind between two looks; its times are UNIX seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.deploy.route_states import is_asleep
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.wake.backoff import FIRST_S, FailedWake
from modelscan.gateway.control.wake.situation import Phase, Refuse
from modelscan.gateway.counters import BackendRow
from modelscan.gateway.snapshot import WaitingForWake
from modelscan.state.clock import seconds_of

_LOOK_AGAIN_S = 5.0


class Waiting(NamedTuple):
    """Requests that wait for one deployment; ``oldest_at``: since when the first one does."""

    requests: int
    oldest_at: float


class Waits:
    """What waits in every worker, as it was reported last."""

    def __init__(self) -> None:
        self._by_worker: dict[int, tuple[WaitingForWake, ...]] = {}

    def put(self, worker: int, waiting: tuple[WaitingForWake, ...]) -> None:
        """Everything that waits in one worker."""
        self._by_worker[worker] = waiting

    def by_deployment(self, gateway: Gateway) -> dict[str, Waiting]:
        """The sums over the workers, by the deployment's name."""
        found: dict[str, Waiting] = {}
        for one in (one for rows in self._by_worker.values() for one in rows):
            backend = gateway.backend(one.backend)
            if backend is not None and backend.deployment is not None:
                before = found.get(backend.deployment, Waiting(0, one.oldest_at))
                oldest_at = min(before.oldest_at, one.oldest_at)
                found[backend.deployment] = Waiting(before.requests + one.count, oldest_at)
        return found


def routed(gateway: Gateway) -> dict[str, tuple[str, ...]]:
    """The backends of each deployment that requests may reach or wake."""
    found: dict[str, tuple[str, ...]] = {}
    for route in gateway.loaded.file.routes:
        row = gateway.loaded.deployments.get(route.deployment or "")
        if row is not None and (route.enabled or is_asleep(route, row)):
            found[row.name] = (*found.get(row.name, ()), route.name)
    return found


@dataclass(slots=True)
class Observed:
    """``starting`` and ``stopping``: jobs under way. ``closing``: since when. ``verified``: those
    that are ready for the requests that wait. ``looks``: the last look at each."""

    starting: set[str] = field(default_factory=set)
    stopping: set[str] = field(default_factory=set)
    looking: set[str] = field(default_factory=set)
    closing: dict[str, float] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)
    looks: dict[str, float] = field(default_factory=dict)
    refused: dict[str, Refuse] = field(default_factory=dict)
    failures: dict[str, FailedWake] = field(default_factory=dict)
    not_before: dict[str, float] = field(default_factory=dict)
    ready_since: dict[str, float] = field(default_factory=dict)
    used_at: dict[str, float] = field(default_factory=dict)
    publish_again: bool = False
    _requests: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Whether something is under way that may end soon."""
        return bool(self.starting or self.stopping or self.closing or self.looking)

    def has_job(self, name: str) -> bool:
        """Whether a start, an end or a look is under way."""
        return name in self.starting or name in self.stopping or name in self.looking

    def done(self, name: str) -> None:
        """Its job ended."""
        for jobs in (self.starting, self.stopping, self.looking):
            jobs.discard(name)

    def phase(self, row: Deployment | None) -> Phase:
        """What becomes of requests to a deployment."""
        if row is None:
            return "ended"
        if row.name in self.stopping:
            return "stopping"
        if row.name in self.starting:
            return "starting"
        if row.state is State.RUNNING:
            return "closing" if row.name in self.closing else "ready"
        return "asleep" if row.asleep or row.state is State.STARTING else "ended"

    def note(self, gateway: Gateway, waiting: Mapping[str, Waiting], now: float) -> None:
        """Take over what changed since the last look."""
        backends = routed(gateway)
        for name, row in gateway.loaded.deployments.items():
            if row.state is State.RUNNING:
                self._note_running(gateway, row, backends.get(name, ()), now)
            else:
                self._note_ended(row)
        for name, one in waiting.items():
            if one.requests > self._counts.get(name, 0):
                self.verified.discard(name)  # they may be from after an end that was not noticed
        self._counts = {name: one.requests for name, one in waiting.items()}
        self.verified &= waiting.keys()
        self.refused = {
            name: one for name, one in self.refused.items()
            if (name in waiting if one.again_at is None else one.again_at > now)
        }  # fmt: skip

    def _note_running(
        self, gateway: Gateway, row: Deployment, backends: tuple[str, ...], now: float
    ) -> None:
        name = row.name
        if name not in self.starting:
            self.failures.pop(name, None)
        if name not in self.ready_since:
            self.ready_since[name] = seconds_of(row.started_at) or now
        requests = sum(gateway.runtime.requests[one] for one in backends)
        before = self._requests.get(name)
        self._requests[name] = requests
        if before is None:
            self.used_at.setdefault(name, self.ready_since[name])
        if flying(gateway, backends) or before not in (None, requests):
            self.used_at[name] = now

    def _note_ended(self, row: Deployment) -> None:
        name = row.name
        self.ready_since.pop(name, None)
        if name not in self.stopping:
            self.closing.pop(name, None)
        if row.state is State.FAILED and row.asleep and name not in self.failures:
            ended_at = seconds_of(row.updated_at) or 0.0  # of another gateway, or an earlier run
            self.failures[name] = FailedWake(
                1, ended_at + FIRST_S, row.reason or "it did not start"
            )

    def to_look_at(
        self, gateway: Gateway, waiting: Mapping[str, Waiting], now: float
    ) -> Iterator[str]:
        """The deployments whose record has to be compared with what runs."""
        for name, backends in routed(gateway).items():
            row = gateway.loaded.deployments[name]
            if self.has_job(name):
                continue
            if row.state is State.RUNNING and name in waiting and name not in self.closing:
                if name not in self.verified and name not in self.refused:
                    yield name
            elif now >= self.looks.get(name, 0.0) + _LOOK_AGAIN_S:
                dead = any(gateway.state_of(one) is HealthState.DOWN for one in backends)
                if row.state is State.STARTING or (row.state is State.RUNNING and dead):
                    yield name

    def looked_at(self, row: Deployment, now: float) -> None:
        """The record was compared with what runs."""
        if row.state is not State.RUNNING:
            return
        if row.health == "unhealthy":
            text = f"{row.name} is running but does not answer"
            self.refused[row.name] = Refuse(row.name, text, now + _LOOK_AGAIN_S)
        else:
            self.verified.add(row.name)
            self.publish_again = True


def flying(gateway: Gateway, backends: tuple[str, ...]) -> int:
    """Requests of this gateway under way at these backends."""
    counters = gateway.counters
    rows = (counters.backend(gateway.slot(one), BackendRow.IN_FLIGHT) for one in backends)
    return sum(counters.total(row) for row in rows)
