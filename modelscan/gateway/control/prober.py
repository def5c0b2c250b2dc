"""Probes backends when they are due, and turns counters of failed requests into states."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from modelscan.gateway.control.failover import (
    Health,
    HealthState,
    after_hosted_requests,
    after_probe,
    after_requests,
)
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.probe import BackendProbe, is_probed, probe
from modelscan.gateway.counters import BackendRow
from modelscan.routing.table import Backend

TICK_S = 0.25
_THREADS = 8
_AT_ONCE = 1000  # services of nodes that one tick looks at
_MOST_RUNNING = 32
_IN_FULL = 300  # backends that are probed as often as one would be


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A backend whose state changed, or whose server lists other models than before."""

    backend: str
    before: HealthState
    after: HealthState
    reason: str | None


class Prober:
    """Owns the health of the gateway's backends; ``on_change`` is called in the event loop,
    ``on_error`` where a probe ends by an error of this program."""

    def __init__(
        self, gateway: Gateway, on_change: Callable[[HealthChange], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:  # fmt: skip
        self._gateway = gateway
        self._on_change = on_change
        self._on_error = on_error
        self._seen: dict[str, tuple[int, int]] = {}
        self._running: set[str] = set()
        self._next = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool: ThreadPoolExecutor

    async def run(self) -> None:
        """Probe until cancelled."""
        self._pool = ThreadPoolExecutor(_THREADS, "probe")
        try:
            while True:
                self.tick(time.monotonic())
                await asyncio.sleep(TICK_S)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def tick(self, now: float) -> None:
        """Count requests since the last tick and start the probes that are due."""
        gateway = self._gateway
        for at in self._turn():
            backend, slot = gateway.table.backends[at], gateway.slots[at]
            answered, failed = self._requests(backend.name, slot)
            health = gateway.health.get(backend.name, Health())
            if is_probed(backend):
                health = after_requests(health, answered, failed, now)
                gateway.health[backend.name] = health
                due = now >= health.next_at and backend.name not in self._running
                open_ = gateway.is_used(backend.name) and backend.name not in gateway.closed
                if due and self._may_start(at) and open_:
                    self._start(backend)
            else:
                after = after_hosted_requests(health, answered, failed, now, _chance())
                self._apply(backend.name, health, after)

    def _turn(self) -> Iterable[int]:
        """The backends of this tick: those of the file, and some of the nodes' in turn."""
        written = len(self._gateway.file.written)
        reported = len(self._gateway.table.backends) - written
        most = min(reported, _AT_ONCE)
        start, self._next = self._next, self._next + most
        return (*range(written), *(written + (start + n) % reported for n in range(most)))

    def _may_start(self, at: int) -> bool:
        """Services of nodes that do not answer must not delay the probes of others for long."""
        written = at < len(self._gateway.file.written)
        return written or len(self._running) < _MOST_RUNNING

    def _requests(self, name: str, slot: int) -> tuple[int, int]:
        """Requests that a backend answered and failed since the last call."""
        counters = self._gateway.counters
        answered = self._gateway.runtime.answered[name]
        failed = counters.total(counters.backend(slot, BackendRow.FAILURES))
        before_answered, before_failed = self._seen.get(name, (answered, failed))
        self._seen[name] = answered, failed
        return answered - before_answered, failed - before_failed

    def _start(self, backend: Backend) -> None:
        self._running.add(backend.name)
        task = asyncio.get_running_loop().create_task(self._probe(backend))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._probed(backend.name, done))

    def _probed(self, name: str, task: asyncio.Task[None]) -> None:
        """A probe that ended by an error of this program counts as a failed one."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self._on_error(f"probe of {name}", error)
        health = self._gateway.health.get(name, Health())
        fault = f"the probe itself failed: {type(error).__name__}: {error}"
        self._apply(name, health, after_probe(health, fault, time.monotonic(), _chance()))

    async def _probe(self, backend: Backend) -> None:
        gateway = self._gateway
        before = gateway.probes.get(backend.name)
        identify = before is None or before.fault is not None
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(
                self._pool, lambda: probe(backend, identify=identify)
            )
        finally:
            self._running.discard(backend.name)
        if gateway.backend(backend.name) != backend or backend.name in gateway.closed:
            return  # the entry was changed meanwhile: this answer is of the old one
        merged = replace(_merged(before, result), others=self._others(backend.name, result))
        gateway.probes[backend.name] = merged
        health = gateway.health.get(backend.name, Health())
        after = after_probe(health, result.fault, time.monotonic(), _chance(), self._stretch())
        known = None if before is None else (before.served, before.others)
        self._apply(backend.name, health, after, report=known != (merged.served, merged.others))

    def _stretch(self) -> float:
        """How much longer the pauses are, so that many services are not many probes."""
        return max(1.0, len(self._gateway.table.backends) / _IN_FULL)

    def _others(self, name: str, result: BackendProbe) -> int:
        """Requests at a server that are not this gateway's, by its own count."""
        if result.requests is None:
            return 0
        counters, slot = self._gateway.counters, self._gateway.slot(name)
        own = counters.total(counters.backend(slot, BackendRow.IN_FLIGHT))
        return max(0, result.requests.running + result.requests.waiting - own)

    def _apply(self, name: str, before: Health, after: Health, *, report: bool = False) -> None:
        self._gateway.health[name] = after
        if report or after.state is not before.state:
            change = HealthChange(name, before.state, after.state, after.reason)
            self._on_change(change)


def _merged(before: BackendProbe | None, new: BackendProbe) -> BackendProbe:
    """A later probe asks less: what the first one found out stays."""
    if before is None or new.fault is not None:
        return new
    contexts = before.served or {}
    served = new.served
    if served is not None:
        served = {
            name: context if context is not None else contexts.get(name)
            for name, context in served.items()
        }
    return replace(
        new,
        served=before.served if served is None else served,
        engine=new.engine or before.engine,
    )


def _chance() -> float:
    return random.random()  # noqa: S311 - no secret
