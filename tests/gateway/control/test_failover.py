"""States of backends from probes and requests, as values."""

from __future__ import annotations

from modelscan.core.receipt import Receipt
from modelscan.gateway.control.failover import (
    AGAIN_S,
    INTERVAL_S,
    Health,
    after_hosted_requests,
    after_probe,
    after_requests,
    columns,
)
from modelscan.gateway.control.failover import (
    HealthState as S,
)
from modelscan.gateway.control.slots import Slots
from modelscan.gateway.counters import BackendState as Column
from modelscan.routing.offload import suitability
from modelscan.routing.table import Backend, GatewayLimits, RouteCandidate, RouteEntry, RouteTable
from modelscan.traces.recent import RuntimeHistory

MIDDLE = 0.5  # of the jitter: none


def test_two_strikes_take_out_and_recovery_is_half_open() -> None:
    health = after_probe(Health(), None, 0.0, MIDDLE)
    assert (health.state, health.next_at) == (S.UP, INTERVAL_S)
    first = after_probe(health, "no answer", 15.0, MIDDLE)
    assert (first.state, first.next_at) == (S.UP, 15.0 + AGAIN_S)
    second = after_probe(first, "no answer", 16.0, MIDDLE)
    assert (second.state, second.reason) == (S.DOWN, "no answer")
    back = after_probe(second, None, 20.0, MIDDLE)
    assert (back.state, back.next_at) == (S.HALF_OPEN, 20.0 + AGAIN_S)
    assert after_probe(back, None, 21.0, MIDDLE).state is S.UP
    assert after_probe(back, "gone again", 21.0, MIDDLE).state is S.DOWN
    one_good = after_probe(first, None, 16.0, MIDDLE)
    assert after_probe(one_good, "chance", 31.0, MIDDLE).state is S.UP


def test_probes_of_a_dead_backend_get_rarer_and_never_step_together() -> None:
    health, pauses, now = Health(), [], 0.0
    for _ in range(8):
        health = after_probe(health, "dead", now, MIDDLE)
        pauses.append(health.next_at - now)
        now = health.next_at
    assert pauses == [1.0, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0, 5.0]
    early, late = (after_probe(Health(), None, 0.0, j).next_at for j in (0.0, 1.0))
    assert early == INTERVAL_S * 0.8
    assert late == INTERVAL_S * 1.2


def test_a_failed_request_is_reason_to_probe_now() -> None:
    up = after_probe(Health(), None, 0.0, MIDDLE)
    assert after_requests(up, 5, 0, 3.0).next_at == INTERVAL_S
    assert after_requests(up, 5, 1, 3.0).next_at == 3.0


def test_a_hosted_backend_cools_down_by_its_requests_only() -> None:
    health = Health()
    for _ in range(2):
        health = after_hosted_requests(health, 0, 1, 0.0, MIDDLE)
    assert health.state is S.UNKNOWN
    health = after_hosted_requests(health, 0, 1, 0.0, MIDDLE)
    assert (health.state, health.next_at) == (S.COOLING, 10.0)
    assert after_hosted_requests(health, 0, 0, 9.0, MIDDLE).state is S.COOLING
    tried = after_hosted_requests(health, 0, 0, 10.0, MIDDLE)
    assert tried.state is S.HALF_OPEN
    assert after_hosted_requests(tried, 1, 0, 10.5, MIDDLE) == Health(S.UP)
    again = after_hosted_requests(tried, 0, 1, 11.0, MIDDLE)
    assert (again.state, again.next_at) == (S.COOLING, 31.0)


def table(*routes: tuple[int, ...]) -> RouteTable:
    backends = tuple(Backend(name, "http", "127.0.0.1", 1) for name in "ab")
    entries = {
        f"r{n}": RouteEntry(
            f"r{n}", "model", None, "priority", tuple(RouteCandidate(i) for i in one)
        )
        for n, one in enumerate(routes)
    }
    return RouteTable(1, backends, entries, None, GatewayLimits())


def test_the_only_backend_of_a_route_is_never_left_out() -> None:
    down = {"a": S.DOWN, "b": S.UP}
    assert columns(table((0, 1)), down.__getitem__)["a"] is Column.DOWN
    assert columns(table((0, 1), (0,)), down.__getitem__)["a"] is Column.COOLING
    dead = {"a": S.DOWN, "b": S.DOWN}
    assert set(columns(table((0, 1)), dead.__getitem__).values()) == {Column.COOLING}


def test_rows_stay_with_their_names_and_new_names_get_unused_ones_first() -> None:
    slots = Slots(3, "backends")
    assert slots.assign(["a", "b"]) == {"a": 0, "b": 1}
    assert slots.assign(["b", "c"]) == {"b": 1, "c": 2}
    assert slots.assign(["d", "b", "c"]) == {"d": 0, "b": 1, "c": 2}


def test_classes_of_work_by_the_median_time() -> None:
    history = RuntimeHistory()
    history.add([
        Receipt("t", 0.0, "chat", "m", backend="a", status=status, stream=True, ttft_s=0.5,
                duration_s=seconds, output_tokens=30)
        for status, seconds in ((200, 2.0), (200, 3.5), (200, 1.0), (502, 90.0))
    ])  # fmt: skip
    latency = history.latency("a")
    assert (latency.p50_ms, latency.ttft_ms, latency.tokens_per_s) == (2000.0, 500.0, 20.0)
    rows = [(True, 1500.0), (True, 4000.0), (None, 4000.1), (False, 10.0), (True, None)]
    assert [suitability(*row) for row in rows] == [
        "good_for_low_complexity", "usable_for_background_tasks", "available_but_slow",
        "cold_only", "unknown",
    ]  # fmt: skip
