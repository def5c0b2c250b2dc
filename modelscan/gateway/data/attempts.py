"""The backends that one request tries, one after the other, each at most once."""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.limits import MAX_ATTEMPTS
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.state import LiveBackend, LiveRoute
from modelscan.routing.choose import DOWN, NONE, Live, choose

_ONLY = (0,)


class Attempt:
    """One backend to try, as a candidate of a route."""

    __slots__ = ("at", "backend", "route")

    def __init__(self, route: LiveRoute, at: int) -> None:
        self.route = route
        self.at = at
        self.backend: LiveBackend = route.backends[at]


class BackendAttempts:
    """Candidates in the order of the route's strategy, then those of the fallback routes.

    ``made``: how many were tried. ``unusable``: no route has a backend for the operation.
    """

    __slots__ = ("_counters", "_plan", "_ready", "_routes", "_tried", "made", "unusable")

    def __init__(self, plan: RoutePlan, counters: Counters) -> None:
        self._plan = plan
        self._counters = counters
        self._ready: list[Attempt] = []
        self._routes: Iterator[LiveRoute] | None = None
        self._tried: set[int] = set()
        self.made = 0
        self.unusable = True

    def take(self) -> Attempt | None:
        """The next backend; the caller counts it in ``made`` if it tries it."""
        if self.peek() is None:
            return None
        return self._ready.pop(0)

    def peek(self) -> Attempt | None:
        """The next backend, without trying it; None: there is no other one."""
        if self.made >= MAX_ATTEMPTS:
            return None
        while not self._ready:
            if self._routes is None:
                self._routes = self._plan.routes()
            route = next(self._routes, None)
            if route is None:
                return None
            self._add(route)
        return self._ready[0]

    def of_route(self) -> list[Attempt]:
        """The remaining backends of the next one's route, in order, without trying them."""
        first = self.peek()
        return [one for one in self._ready if first is not None and one.route is first.route]

    def choose(self, chosen: Attempt) -> None:
        """Take one of those that remain, other than the next."""
        self._ready.remove(chosen)

    def put_back(self, attempt: Attempt) -> None:
        """A backend that was taken and not tried."""
        self._ready.insert(0, attempt)

    def skip_smaller(self, context_tokens: int | None) -> None:
        """Leave out backends that are not known to have a larger context."""
        if context_tokens is None:
            self._ready, self._routes = [], iter(())
            return
        while self.made < MAX_ATTEMPTS and self.peek() is not None:
            self._ready = [one for one in self._ready if _larger(one, context_tokens)]
            if self._ready:
                return

    def _add(self, route: LiveRoute) -> None:
        serving = route.serving(self._plan.operation)
        if serving:
            self.unusable = False
        for at in self._ordered(route):
            slot = route.backends[at].slot
            if at in serving and slot not in self._tried:
                self._tried.add(slot)
                self._ready.append(Attempt(route, at))

    def _ordered(self, route: LiveRoute) -> tuple[int, ...]:
        counters = self._counters
        if len(route.backends) == 1:  # as ``choose`` does, also for the control application
            down = counters.state_number(route.backends[0].slot) == DOWN
            return NONE if down else _ONLY
        counters.add(route.turn, 1)
        state = self._plan.state
        live = Live(state.in_flight, state.health, counters.total(route.turn))
        return choose(route.entry, state.snapshot.table.backends, live)


def _larger(attempt: Attempt, context_tokens: int) -> bool:
    return (attempt.backend.spec.context_tokens or 0) > context_tokens
