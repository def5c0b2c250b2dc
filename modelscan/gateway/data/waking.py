"""Requests that wait for a deployment to wake: the serving process starts it, and says when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from modelscan.gateway.counters import BackendRow, Counters
from modelscan.gateway.data.errors import Cause, RefusedError
from modelscan.gateway.data.parts import WakingWork
from modelscan.gateway.data.state import GatewayState, LiveBackend
from modelscan.gateway.snapshot import WaitingForWake, Wake

_LEAST_S, _MOST_S = 1, 3600

Report = Callable[[tuple[WaitingForWake, ...]], bool]
Later = Callable[[Callable[[], None]], object]
Line = dict[int, tuple[WakingWork, LiveBackend, float]]


class Waking:
    """All requests of this worker that wait for a wake, by the backend's name.

    Without any, nothing here runs. ``report`` gets the whole state after changes; several changes
    of one turn of the event loop (``later``) are one report, and one that could not be sent is
    ``unsent``. ``clock`` is the UNIX time.
    """

    __slots__ = ("_clock", "_counters", "_due", "_later", "_lines", "_report", "unsent")

    def __init__(
        self, counters: Counters, report: Report, later: Later, clock: Callable[[], float]
    ) -> None:
        self._counters = counters
        self._report = report
        self._later = later
        self._clock = clock
        self._lines: dict[str, Line] = {}
        self._due = self.unsent = False

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, exchange: WakingWork, backend: LiveBackend) -> None:
        """Wait for a backend's deployment."""
        line = self._lines.setdefault(backend.spec.name, {})
        line[id(exchange)] = (exchange, backend, self._clock())
        self._count(backend, 1)
        self._changed()

    def remove(self, exchange: WakingWork, backend: LiveBackend) -> None:
        """Wait no more: its client left, or it waited for too long."""
        line = self._lines.get(backend.spec.name, {})
        if line.pop(id(exchange), None) is None:
            return
        self._count(backend, -1)
        if not line:
            del self._lines[backend.spec.name]
        self._changed()

    def _count(self, backend: LiveBackend, amount: int) -> None:
        self._counters.add(self._counters.backend(backend.slot, BackendRow.WAITING), amount)

    def apply(self, state: GatewayState) -> None:
        """Go on with the requests whose wake ended, well or not."""
        for name in tuple(self._lines):
            wake = state.wakes.get(name)
            if wake is not None and wake.state == "ready":
                self._release(name, lambda exchange: exchange.woken())
            elif wake is not None and _is_refused(wake, self._clock()):
                self._refuse(name, refusal_of(wake, self._clock()))

    def refuse_all(self) -> None:
        """The worker ends: a wake could not be waited for."""
        for name in tuple(self._lines):
            refusal = RefusedError(Cause.STOPPING, "the gateway is stopping", retry_after=5)
            self._refuse(name, refusal)

    def _refuse(self, name: str, refusal: RefusedError) -> None:
        self._release(name, lambda exchange: exchange.not_woken(refusal))

    def _release(self, name: str, go_on: Callable[[WakingWork], None]) -> None:
        line = self._lines.pop(name, {})
        for _, backend, _ in line.values():
            self._count(backend, -1)
        self._changed()
        for exchange, _, _ in line.values():
            go_on(exchange)

    def _changed(self) -> None:
        if not self._due:
            self._due = True
            self._later(self.send)

    def send(self) -> None:
        """Report what waits now."""
        self._due = False
        waiting = tuple(
            WaitingForWake(name, len(line), min(at for _, _, at in line.values()))
            for name, line in self._lines.items()
        )
        self.unsent = not self._report(waiting)


def refusal_of(wake: Wake, now: float) -> RefusedError:
    """The refusal of a wake that failed; ``now``: UNIX time."""
    wait = None if wake.again_at is None else math.ceil(wake.again_at - now)
    wait = None if wait is None else max(_LEAST_S, min(_MOST_S, wait))
    return RefusedError(Cause.ASLEEP, wake.reason or f"{wake.backend} is asleep", wait)


def refused_now(wakes: Mapping[str, Wake], backend: str, now: float) -> RefusedError | None:
    """The refusal for a request to a backend whose wake failed lately; None: it may wait."""
    wake = wakes.get(backend)
    refused = wake is not None and wake.again_at is not None and _is_refused(wake, now)
    return refusal_of(wake, now) if wake is not None and refused else None


def _is_refused(wake: Wake, now: float) -> bool:
    return wake.state == "refused" and (wake.again_at is None or wake.again_at > now)
