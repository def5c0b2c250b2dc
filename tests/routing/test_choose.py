"""The order in which a route's backends are tried."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.routing.choose import COOLING, DOWN, HALF_OPEN, UP, Live, choose, first
from modelscan.routing.table import Backend, RouteCandidate, RouteEntry, Strategy

STRATEGIES: tuple[Strategy, ...] = ("scored", "round_robin", "least_loaded", "priority")


def backends(count: int, most: int | None = None) -> tuple[Backend, ...]:
    return tuple(Backend(f"b{n}", "http", "h", 1, max_in_flight=most) for n in range(count))


def entry(strategy: Strategy, *scores: float | None) -> RouteEntry:
    candidates = tuple(RouteCandidate(at, None, value) for at, value in enumerate(scores))
    return RouteEntry("r", "role", "chat", strategy, candidates)


def order(strategy: Strategy, in_flight: list[int], health: list[int] | None = None, turn: int = 0,
          scores: list[float | None] | None = None) -> tuple[int, ...]:  # fmt: skip
    count = len(in_flight)
    route = entry(strategy, *(scores or [0.5] * count))
    return choose(route, backends(count), Live(in_flight, health or [UP] * count, turn))


def test_six_requests_over_two_backends_in_turn_are_three_each() -> None:
    assert Counter(order("round_robin", [0, 0], turn=turn)[0] for turn in range(6)) == {0: 3, 1: 3}


def test_the_least_loaded_comes_first_and_equals_take_turns() -> None:
    assert order("least_loaded", [3, 1, 2]) == (1, 2, 0)
    assert [order("least_loaded", [1, 1], turn=turn)[0] for turn in range(4)] == [0, 1, 0, 1]


def test_the_highest_score_comes_first_until_its_queue_costs_more() -> None:
    assert order("scored", [0, 0], scores=[0.5, 0.52]) == (1, 0)
    assert order("scored", [0, 3], scores=[0.5, 0.52]) == (0, 1)
    assert order("scored", [0, 500], scores=[0.1, 0.9]) == (1, 0)
    assert order("scored", [1, 0], scores=[None, None]) == (1, 0)


def test_priority_is_the_order_of_the_file() -> None:
    assert order("priority", [9, 0, 4]) == (0, 1, 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_states_of_backends(strategy: Strategy) -> None:
    """Down: never. Cooling: last, also the only one. Half open: one request at a time."""
    assert order(strategy, [0, 0, 0], [DOWN, COOLING, UP]) == (2, 1)
    assert order(strategy, [0], [COOLING]) == (0,)
    assert order(strategy, [0], [DOWN]) == ()
    assert order(strategy, [0, 0], [COOLING, DOWN]) == (0,)
    assert set(order(strategy, [0, 0], [HALF_OPEN, UP])) == {0, 1}
    assert order(strategy, [1, 0], [HALF_OPEN, UP]) == (1, 0)


def test_a_backend_with_all_its_requests_comes_after_the_others() -> None:
    live = Live([2, 1], [UP, UP])
    assert choose(entry("priority", 0.5, 0.5), backends(2, most=2), live) == (1, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([UP, HALF_OPEN, COOLING, DOWN])),
                min_size=1, max_size=6), st.integers(0, 99), st.sampled_from(STRATEGIES))  # fmt: skip
def test_every_backend_that_is_not_down_is_tried_once(
    states: list[tuple[int, int]], turn: int, strategy: Strategy
) -> None:
    answer = order(strategy, [f for f, _ in states], [h for _, h in states], turn)
    assert sorted(answer) == [at for at, (_, health) in enumerate(states) if health != DOWN]


@given(
    st.sampled_from(STRATEGIES),
    st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0, 1)), min_size=1, max_size=6),
    st.integers(0, 20),
)
@settings(max_examples=300, deadline=None)
def test_the_first_alone_is_the_first_of_the_order(
    strategy: Strategy, candidates: list[tuple[int, float | None]], turn: int
) -> None:
    in_flight = [flying for flying, _ in candidates]
    live = Live(in_flight, [UP] * len(candidates), turn)
    route = entry(strategy, *(score for _, score in candidates))
    assert first(route, live) == choose(route, backends(len(candidates)), live)[0]
