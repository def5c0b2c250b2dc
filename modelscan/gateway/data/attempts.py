"""The backends that one request tries, one after the other, each at most once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from modelscan.gateway.counters import Counters
from modelscan.gateway.data.limits import MAX_ATTEMPTS
from modelscan.gateway.data.plan import RoutePlan
from modelscan.gateway.data.state import LiveBackend, LiveRoute
from modelscan.routing.choose import DOWN, NONE, Live, choose, first

_ONLY = (0,)


class Attempt:
    """One backend to try, as a candidate of a route."""

    __slots__ = ("at", "backend", "route")

    def __init__(self, route: LiveRoute, at: int) -> None:
        self.route = route
        self.at = at
        self.backend: LiveBackend = route.backends[at]

    def model(self, plan: RoutePlan) -> str | None:
        """The name to send; None: the caller's."""
        if plan.model is not None and self.route is plan.route:
            return plan.model
        return self.route.models[self.at]

    def encoded_model(self, plan: RoutePlan) -> msgspec.Raw | None:
        """The same as JSON."""
        if plan.model is not None and self.route is plan.route:
            return msgspec.Raw(msgspec.json.encode(plan.model))
        return self.route.encoded[self.at]


class BackendAttempts:
    """Candidates in the order of the route's strategy, then those of the fallback routes.

    ``made``: how many were tried. ``unusable``: no route has a backend for the operation.
    """

    __slots__ = (
        "_counters", "_order", "_plan", "_ready", "_rest", "_route", "_routes", "_tried", "made",
        "unusable",
    )  # fmt: skip

    def __init__(self, plan: RoutePlan, counters: Counters) -> None:
        self._plan = plan
        self._counters = counters
        self._ready: list[Attempt] = []
        self._routes: Iterator[LiveRoute] | None = None
        self._tried: list[int] = []
        self.made = 0
        self.unusable = True
        self._open(plan.route)

    def _open(self, route: LiveRoute) -> None:
        """Begin with a route. Where nothing is wrong, only the first backend is needed."""
        self._route = route
        self._rest = False
        if len(route.backends) == 1:
            self._order = self._single(route)
            return
        self._counters.cells[route.turn + self._counters.worker] += 1
        if route.unlimited and self._plan.state.all_up:
            self._order = (first(route.entry, self._live(route)),)
            self._rest = True
        else:
            self._order = self._ordered(route)

    def take(self) -> Attempt | None:
        """The next backend; the caller counts it in ``made`` if it tries it."""
        if self.made >= MAX_ATTEMPTS:
            return None
        return self._ready.pop(0) if self._ready else self._find()

    def peek(self) -> Attempt | None:
        """The next backend, without trying it; None: there is no other one."""
        if not self._ready:
            found = self.take()
            if found is None:
                return None
            self._ready.append(found)
        return self._ready[0] if self.made < MAX_ATTEMPTS else None

    def _find(self) -> Attempt | None:
        """The next candidate that serves the operation and was not tried as another's."""
        while True:
            route, serving = self._route, self._route.serving(self._plan.operation)
            if serving:
                self.unusable = False
            while self._order:
                at, self._order = self._order[0], self._order[1:]
                slot = route.backends[at].slot
                if at in serving and slot not in self._tried:
                    self._tried.append(slot)
                    return Attempt(route, at)
            if self._rest:
                self._expand()
            elif not self._next_route():
                return None

    def _expand(self) -> None:
        """The whole order, where so far only its first backend was needed."""
        self._rest = False
        self._order = self._ordered(self._route)

    def _next_route(self) -> bool:
        if self._routes is None:
            self._routes = self._plan.fallback_routes()
        route = next(self._routes, None)
        if route is not None:
            self._open(route)
        return route is not None

    def of_route(self) -> list[Attempt]:
        """The remaining backends of the next one's route, in order, without trying them."""
        upcoming = self.peek()
        if self._rest:
            self._expand()
        while upcoming is not None and self._route is upcoming.route and self._order:
            following = self._find()
            if following is None:
                break
            self._ready.append(following)
        return [one for one in self._ready if upcoming and one.route is upcoming.route]

    def choose(self, chosen: Attempt) -> None:
        """Take one of those that remain, other than the next."""
        self._ready.remove(chosen)

    def put_back(self, attempt: Attempt) -> None:
        """A backend that was taken and not tried."""
        self._ready.insert(0, attempt)

    def skip_smaller(self, context_tokens: int | None) -> None:
        """Leave out backends that are not known to have a larger context."""
        while (attempt := self.peek()) is not None:
            if context_tokens is not None and _larger(attempt, context_tokens):
                return
            self._ready.pop(0)

    def _single(self, route: LiveRoute) -> tuple[int, ...]:
        """As ``choose`` does, also for the control application."""
        down = self._counters.state_number(route.backends[0].slot) == DOWN
        return NONE if down else _ONLY

    def _ordered(self, route: LiveRoute) -> tuple[int, ...]:
        return choose(route.entry, self._plan.state.snapshot.table.backends, self._live(route))

    def _live(self, route: LiveRoute) -> Live:
        state = self._plan.state
        return Live(state.in_flight, state.health, self._counters.total(route.turn))


def _larger(attempt: Attempt, context_tokens: int) -> bool:
    return (attempt.backend.spec.context_tokens or 0) > context_tokens
