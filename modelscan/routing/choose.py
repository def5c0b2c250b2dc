"""The order in which a route's backends are tried, for one request. Pure.

The gateway's data path and ``route explain`` call the same function; it is made once per request,
so it must cost about a microsecond.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from modelscan.routing.scoring import live_score
from modelscan.routing.table import Backend, RouteEntry

# The states of a backend, as numbers because they are cells of shared memory.
UP, HALF_OPEN, COOLING, ASLEEP, DOWN = range(5)
NONE: tuple[int, ...] = ()
_ONLY = (0,)
_GOLDEN = 0.6180339887498949  # (sqrt(5) - 1) / 2
_TIE = 1e-9  # what a request costs among equal scores


class Live(NamedTuple):
    """What changes from request to request, by the backend's index in the table.

    ``turn``: the route's counter for round robin, one higher for each request.
    """

    in_flight: Sequence[int]
    health: Sequence[int]
    turn: int = 0


def choose(entry: RouteEntry, backends: Sequence[Backend], live: Live) -> tuple[int, ...]:
    """The candidates of a route by their index in ``entry.candidates``, the best first.

    A backend that is down is left out. One that cools down after errors, that is being tried again
    or that has all the requests it may have, comes after the others, one that is asleep comes last:
    the only backend of a route is never excluded for errors.
    """
    candidates = entry.candidates
    if len(candidates) == 1:
        return NONE if live.health[candidates[0].backend] == DOWN else _ONLY
    ready: list[int] = []
    later: list[tuple[int, int]] = []
    for at, candidate in enumerate(candidates):
        index = candidate.backend
        state = live.health[index]
        if state == DOWN:
            continue
        most = backends[index].max_in_flight
        flying = live.in_flight[index]
        free = not flying if state == HALF_OPEN else most is None or flying < most
        if free and state < COOLING:
            ready.append(at)
        else:
            later.append((state, at))
    order = _ORDERS[entry.strategy](entry, ready, live)
    if later:
        later.sort()
        order += [at for _, at in later]
    return tuple(order)


def first(entry: RouteEntry, live: Live) -> int:
    """The first of ``choose``, where every backend is up and none has a limit of requests."""
    in_flight, candidates = live.in_flight, entry.candidates
    if entry.strategy == "scored":
        best, least = 0, float("inf")
        for at, candidate in enumerate(candidates):
            flying = in_flight[candidate.backend]
            # An idle one is the usual case, and its live score is its score.
            score = live_score(candidate.score, flying) if flying else candidate.score or 0.0
            cost = flying * _TIE - score
            if cost < least:
                best, least = at, cost
        return best
    if entry.strategy == "least_loaded":
        return _least_loaded(entry, list(range(len(candidates))), live)[0]
    if entry.strategy == "weighted":
        return _weighted(entry, list(range(len(candidates))), live)[0]
    return live.turn % len(candidates) if entry.strategy == "round_robin" else 0


def _by_score(entry: RouteEntry, ready: list[int], live: Live) -> list[int]:
    """Highest score first; among equals the one with fewer requests, then the earlier one."""
    if len(ready) < 2:
        return ready
    in_flight = live.in_flight
    costs = []
    for candidate in entry.candidates:
        flying = in_flight[candidate.backend]
        costs.append(flying * _TIE - live_score(candidate.score, flying))
    ready.sort(key=costs.__getitem__)
    return ready


def _in_turn(_: RouteEntry, ready: list[int], live: Live) -> list[int]:
    if len(ready) < 2:
        return ready
    start = live.turn % len(ready)
    return ready[start:] + ready[:start]


def _least_loaded(entry: RouteEntry, ready: list[int], live: Live) -> list[int]:
    """Fewest requests first; equals take turns."""
    if len(ready) < 2:
        return ready
    in_flight = live.in_flight
    turned = _in_turn(entry, ready, live)
    loads = [in_flight[one.backend] + one.waiting for one in entry.candidates]
    turned.sort(key=loads.__getitem__)
    return turned


def _weighted(entry: RouteEntry, ready: list[int], live: Live) -> list[int]:
    """One by its share of the requests, then the others as written.

    The multiples of the golden ratio are spread evenly: of any n requests in a row, a share of s
    gets n x s, give or take two, and the workers of a gateway need no common dice.
    """
    candidates = entry.candidates
    total = sum(candidates[at].weight for at in ready)
    point = live.turn * _GOLDEN % 1.0 * total
    for place, at in enumerate(ready):
        point -= candidates[at].weight
        if point < 0:
            return [at, *ready[:place], *ready[place + 1 :]]
    return ready


def _as_written(_: RouteEntry, ready: list[int], __: Live) -> list[int]:
    return ready


_ORDERS: dict[str, Callable[[RouteEntry, list[int], Live], list[int]]] = {
    "scored": _by_score,
    "round_robin": _in_turn,
    "least_loaded": _least_loaded,
    "priority": _as_written,
    "weighted": _weighted,
}
