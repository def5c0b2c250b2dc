"""Snapshots that a worker reads in steps: what did not change stays what it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.gateway_rig import access, backend, key, route, table

from modelscan.gateway.control.worker import frame
from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data import arriving
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.options import WorkerOptions
from modelscan.gateway.data.state import StateBuilder, close_unused
from modelscan.gateway.data.worker import Worker
from modelscan.gateway.data.writes import Writes
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import Backend

COUNT = 300


class LaterLoop:
    """A loop without time; what it is given runs when ``turn`` is called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def time(self) -> float:
        return 0.0

    def call_soon(self, *call: Any) -> None:
        self.calls.append(call)

    def turn(self) -> bool:
        calls, self.calls = self.calls, []
        for function, *arguments in calls:
            function(*arguments)
        return bool(calls)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> LaterLoop:
    monkeypatch.setattr(arriving, "STEP_S", 0.0)  # a pause at each look at the clock
    return LaterLoop()


@pytest.fixture
def counters() -> Iterator[Counters]:
    made = Counters.create(CounterSizes(backends=COUNT + 2, keys=4, turns=4))
    yield Counters.attach(os.dup(made.fileno()), 0)
    made.close()


@pytest.fixture
def builder(loop: LaterLoop, counters: Counters) -> StateBuilder:
    return StateBuilder(loop, counters, Timing(), Writes(loop))  # type: ignore[arg-type]


def backends() -> list[Backend]:
    return [backend(f"b{at}", 1000 + at) for at in range(COUNT)]


def snapshot(all_backends: list[Backend], slots: tuple[int, ...] = (), revision: int = 1) -> bytes:
    """One route for each, and one for all."""
    routes = [route(one.name, at) for at, one in enumerate(all_backends)]
    routes.append(route("all", *range(len(all_backends))))
    made = Snapshot(table(all_backends, *routes, revision=revision), access(key()), slots)
    return frame(made)


def test_what_did_not_change_is_kept(builder: StateBuilder) -> None:
    rows, slots = backends(), tuple(range(COUNT))
    first = builder.build(snapshot(rows, slots), None)
    assert [one.spec for one in first.backends] == rows
    rows[7] = replace(rows[7], host="127.0.0.2")
    steps = list(builder.steps(snapshot(rows, slots, 2), first))
    assert len(steps) > 5 and not any(steps[:-1])
    second = steps[-1]
    assert second is not None and second.revision == 2
    changed = {at for at in range(COUNT) if first.backends[at] is not second.backends[at]}
    assert changed == {7} and second.backends[7].spec.host == "127.0.0.2"
    other = {name for name, one in second.routes.items() if one is not first.routes[name]}
    assert other == {"b7", "all"}
    assert second.routes["all"].backends[7] is second.backends[7]
    close_unused(first, second)
    assert [at for at, one in enumerate(first.backends) if one.pool._closed] == [7]


def test_a_backend_that_is_gone_moves_the_others(builder: StateBuilder) -> None:
    """Their indexes change, their connections do not; their routes lead to the same servers."""
    rows, slots = backends(), tuple(range(COUNT))
    first = builder.build(snapshot(rows, slots), None)
    second = builder.build(snapshot(rows[1:], slots[1:]), first)
    assert second.backends == first.backends[1:]
    for name, made in second.routes.items():
        if name != "all":
            assert [one.spec.name for one in made.backends] == [name]
            index = made.entry.candidates[0].backend
            assert second.snapshot.table.backends[index].name == name
    assert second.routes.keys() == {"all", *(one.name for one in rows[1:])}


def test_of_snapshots_that_arrive_meanwhile_the_last_one_counts(
    loop: LaterLoop, counters: Counters
) -> None:
    options = WorkerOptions(0, (), 0, counters.fileno())
    worker = Worker(loop, options)  # type: ignore[arg-type]
    worker._channel.send = lambda _: True  # type: ignore[method-assign]
    worker._apply(snapshot(backends()))
    before = worker.state
    for revision in (2, 3, 4):
        worker._apply(snapshot(backends(), revision=revision))
    assert worker.state is before  # requests go on with it
    seen = []
    while loop.turn():
        seen.append(worker.state.revision)
    assert sorted(set(seen)) == [1, 2, 4]
    assert worker.state.backends[0] is before.backends[0]
