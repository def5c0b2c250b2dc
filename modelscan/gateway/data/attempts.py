"""The backends that one request tries, one after the other, each at most once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.limits import MAX_ATTEMPTS
from modelscan.gateway.data.plan import Plan
from modelscan.gateway.data.state import LiveBackend, LiveRoute
from modelscan.routing.choose import COOLING, DOWN, NONE, UP, Live, choose

_ONLY = (0,)


class Attempt:
    """One backend to try, as a candidate of a route."""

    __slots__ = ("at", "backend", "route")

    def __init__(self, route: LiveRoute, at: int) -> None:
        self.route = route
        self.at = at
        self.backend: LiveBackend = route.backends[at]


class _InFlight(Sequence[int]):
    """Requests under way by the backend's index in the table, summed over workers when read."""

    __slots__ = ("_backends", "_counters")

    def __init__(self, counters: Counters, backends: list[LiveBackend]) -> None:
        self._counters = counters
        self._backends = backends

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        return self._counters.total(self._backends[index].in_flight)

    def __len__(self) -> int:
        return len(self._backends)


class _Health(_InFlight):
    """States by the backend's index; one that requested a pause is cooling here too."""

    __slots__ = ("_now",)

    def __init__(self, counters: Counters, backends: list[LiveBackend], now: float) -> None:
        super().__init__(counters, backends)
        self._now = now

    def __getitem__(self, index: int) -> int:  # type: ignore[override]
        backend = self._backends[index]
        state = self._counters.state_number(backend.slot)
        return COOLING if state == UP and backend.cool_until > self._now else state


class Attempts:
    """Candidates in the order of the route's strategy, then those of the fallback routes."""

    __slots__ = ("_counters", "_next", "_now", "_order", "_plan", "made", "unusable")

    def __init__(self, plan: Plan, counters: Counters, now: float) -> None:
        self._plan = plan
        self._counters = counters
        self._now = now
        self._order: Iterator[Attempt] = self._candidates()
        self._next: Attempt | None = None
        self.made = 0
        self.unusable = True

    def peek(self) -> Attempt | None:
        """The next backend, without trying it; None: there is no other one."""
        if self._next is None and self.made < MAX_ATTEMPTS:
            self._next = next(self._order, None)
        return self._next

    def take(self) -> Attempt | None:
        """The next backend; the caller counts it in ``made`` if it tries it."""
        attempt = self.peek()
        self._next = None
        return attempt

    def choose(self, chosen: Attempt) -> None:
        """Take one out of those that were put back."""
        others = [attempt for attempt in self.of_route() if attempt is not chosen]
        for _ in range(len(others) + 1):
            self.take()
        self.put_back(others)

    def of_route(self) -> list[Attempt]:
        """All remaining backends of the next one's route, in order, without trying them."""
        found: list[Attempt] = []
        while (attempt := self.peek()) is not None:
            if found and attempt.route is not found[0].route:
                break
            found.append(attempt)
            self._next = None
        self.put_back(found)
        return found

    def put_back(self, attempts: list[Attempt]) -> None:
        """Backends to try before the others."""
        held = [] if self._next is None else [self._next]
        self._next = None
        self._order = itertools.chain(attempts, held, self._order)

    def skip_smaller(self, context_tokens: int | None) -> None:
        """Leave out backends that are not known to have a larger context."""
        larger = self._order
        self._order = (
            attempt for attempt in larger
            if (attempt.backend.spec.context_tokens or 0) > (context_tokens or 1 << 62)
        )  # fmt: skip
        if self._next is not None:
            held, self._next = self._next, None
            if (held.backend.spec.context_tokens or 0) > (context_tokens or 1 << 62):
                self._next = held

    def _candidates(self) -> Iterator[Attempt]:
        tried: set[int] = set()
        for route in self._plan.routes():
            serving = route.serving(self._plan.operation)
            if serving:
                self.unusable = False
            for at in self._ordered(route):
                slot = route.backends[at].slot
                if at in serving and slot not in tried:
                    tried.add(slot)
                    yield Attempt(route, at)

    def _ordered(self, route: LiveRoute) -> tuple[int, ...]:
        backends = self._plan.state.backends
        counters = self._counters
        if len(route.backends) == 1:  # as ``choose`` does, also for the control application
            down = counters.state_number(route.backends[0].slot) == DOWN
            return NONE if down else _ONLY
        counters.add(route.turn, 1)
        turn = counters.total(route.turn)
        live = Live(_InFlight(counters, backends), _Health(counters, backends, self._now), turn)
        return choose(route.entry, self._plan.state.snapshot.table.backends, live)
