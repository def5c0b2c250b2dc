"""Who starts and who makes room, as values: turns, memory, groups, pins, priorities, residence."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from modelscan.core.swap_policy import SwapPolicy
from modelscan.gateway.control.wake.backoff import MOST_S, FailedWake, after_failure
from modelscan.gateway.control.wake.schedule import schedule
from modelscan.gateway.control.wake.situation import (
    Close,
    Phase,
    Refuse,
    Reopen,
    Situation,
    Sleepable,
    StartNow,
    Unload,
)

NOW = 1000.0


def ready(name: str, holds: int = 10, **values: Any) -> Sleepable:
    """Ready and unused for long, with so many bytes of host memory."""
    defaults: dict[str, Any] = {"since": 0.0, "used_at": 500.0}
    return Sleepable(name, "ready", holds={None: holds}, **{**defaults, **values})


def asks(name: str, needs: int = 10, at: float = 990.0, **values: Any) -> Sleepable:
    """Asleep, with a request that waits since then."""
    return Sleepable(name, "asleep", needs={None: needs}, waiting=1, oldest_at=at, **values)


def decide(*sleepables: Sleepable, free: int = 0, now: float = NOW) -> tuple[object, ...]:
    return schedule(Situation(now, sleepables, {None: free}))


def closed(one: Sleepable, **values: Any) -> Sleepable:
    return replace(one, phase="closing", since=NOW - 5, **values)


def test_what_fits_starts_at_once_and_what_nobody_requested_stays_asleep() -> None:
    sleeping = Sleepable("idle", "asleep", needs={None: 1})
    assert decide(asks("a"), sleeping, free=10) == (StartNow("a"),)
    assert decide(asks("a"), ready("b"), free=10) == (StartNow("a"),)
    assert decide(ready("b"), sleeping) == ()
    assert decide(Sleepable("far", "asleep", waiting=1)) == (StartNow("far"),)  # of a server


def test_room_is_made_by_closing_then_ending_then_starting() -> None:
    a, b = asks("a"), ready("b")
    assert decide(a, b) == (Close("b", "a"),)
    busy = closed(b, flying=1)
    assert decide(a, busy) == ()  # its requests end first, however long that takes
    assert decide(a, closed(b)) == (Unload("b", "a"),)
    assert decide(a, closed(b, not_before=NOW + 1)) == ()  # other clients use it
    assert decide(a, replace(closed(b), phase="stopping")) == ()
    assert decide(a, replace(asks("b"), waiting=0), free=10) == (StartNow("a"),)


def test_one_whose_requests_do_not_end_is_opened_again_for_its_own() -> None:
    a, b = asks("a"), ready("b", flying=1)
    assert decide(a, replace(b, phase="closing", since=NOW - 29)) == ()
    assert decide(a, replace(b, phase="closing", since=NOW - 30)) == (Reopen("b"),)


def test_a_place_that_is_not_needed_any_more_is_opened_again() -> None:
    left = replace(asks("a"), waiting=0)
    assert decide(left, closed(ready("b"))) == (Reopen("b"),)


def test_the_fewest_end_by_priority_then_use_then_time() -> None:
    low = ready("low", swap=SwapPolicy(priority=-1), used_at=999.0, flying=1)
    old, new = ready("old", used_at=100.0), ready("new", used_at=900.0)
    assert decide(asks("a"), new, old, low) == (Close("low", "a"),)
    assert decide(asks("a"), new, old) == (Close("old", "a"),)
    used = replace(old, flying=1)
    assert decide(asks("a"), used, new) == (Close("new", "a"),)
    small, large = ready("small", 4, used_at=1.0), ready("large", 10, used_at=2.0)
    assert decide(asks("a"), small, large) == (Close("large", "a"),)  # the small one would not do
    both = decide(asks("a", 14), small, large)
    assert set(both) == {Close("small", "a"), Close("large", "a")}


def test_where_the_estimate_does_not_fit_its_margin_counts() -> None:
    tight = asks("a", 12, least={None: 10})
    assert decide(tight, ready("b"), free=0) == (Close("b", "a"),)
    assert decide(tight, free=11) == (StartNow("a"),)
    (refused,) = decide(tight, free=9)
    assert isinstance(refused, Refuse) and "needs 10 B" in refused.reason


def test_a_pinned_one_never_ends_and_the_answer_says_so() -> None:
    pinned = ready("p", swap=SwapPolicy(pin=True))
    (refused,) = decide(asks("a", 11), pinned, free=10)
    assert isinstance(refused, Refuse)
    assert refused.again_at is not None and refused.again_at > NOW
    assert refused.reason.endswith("a needs 11 B of host memory, 10 B can be made free; pinned: p")
    member = replace(asks("a", 1), swap=SwapPolicy(group="g"))
    rival = ready("p", swap=SwapPolicy(pin=True, group="g"))
    (refused,) = decide(member, rival, free=100)
    assert isinstance(refused, Refuse) and "p, which is pinned" in refused.reason


def test_members_of_a_group_exclude_each_other_whatever_memory_there_is() -> None:
    group = SwapPolicy(group="g")
    a, b = replace(asks("a", 1), swap=group), ready("b", 1, swap=group)
    c = replace(asks("c", 1, at=995.0), swap=group)
    assert decide(a, b, c, free=1000) == (Close("b", "a"),)
    assert decide(a, c, free=1000) == (StartNow("a"),)  # one of them, the one whose turn it is
    starting = replace(a, phase="starting", waiting=0)
    assert decide(starting, c, free=1000) == ()
    assert decide(asks("d", 1), b, free=1000) == (StartNow("d"),)


def test_one_that_woke_is_kept_for_a_while() -> None:
    young = ready("b", since=NOW - 9)
    assert decide(asks("a"), young) == ()
    assert decide(asks("a"), young, now=NOW + 1) == (Close("b", "a"),)


def test_the_oldest_request_comes_first_and_a_later_one_does_not_take_its_memory() -> None:
    first, later = asks("first", 10, at=900.0), asks("later", 5, at=950.0)
    busy = ready("b", 5, since=NOW - 1)
    assert decide(later, first, busy, free=5) == ()  # five are free, and are kept for the first
    assert decide(later, first, busy, free=20) == (StartNow("first"), StartNow("later"))
    assert decide(asks("tiny", 1, at=950.0), first, ready("b", 9, since=NOW - 1), free=2) == (
        StartNow("tiny"),
    )  # what the first one leaves over once its place is free


def test_memory_of_gpus_is_counted_by_gpu() -> None:
    a = Sleepable("a", "asleep", needs={0: 10, None: 1}, waiting=1, oldest_at=1.0)
    on_0 = Sleepable("x", "ready", holds={0: 10})
    on_1 = Sleepable("y", "ready", holds={1: 80})
    free = {0: 5, 1: 0, None: 50}
    assert schedule(Situation(NOW, (a, on_0, on_1), free)) == (Close("x", "a"),)
    (refused,) = schedule(Situation(NOW, (a, on_1), free))
    assert isinstance(refused, Refuse) and "memory of GPU 0" in refused.reason


def test_failures_and_deliberate_stops_are_answered_not_repeated() -> None:
    failed = asks("a", not_before=NOW + 5, reason="no such file")
    assert decide(failed, free=100) == (Refuse("a", "no such file", NOW + 5),)
    assert decide(failed, free=100, now=NOW + 6) == (StartNow("a"),)
    stopped = Sleepable("a", "ended", waiting=1, reason="a is stopped")
    assert decide(stopped, free=100) == (Refuse("a", "a is stopped", None),)


def test_each_pause_after_a_failure_is_twice_as_long() -> None:
    failure: FailedWake | None = None
    pauses = []
    for _ in range(9):
        failure = after_failure(failure, "why", 0.0)
        pauses.append(failure.until)
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, MOST_S, MOST_S, MOST_S]


@pytest.mark.parametrize("seed", range(60))
def test_any_storm_ends_without_a_deadlock_and_without_thrashing(seed: int) -> None:
    """Time passes in steps; starts, ends and requests take random time. Every request is answered,
    memory is never promised twice, and no deployment ends before its time or while it is used."""
    world = _World(random.Random(seed))
    for _ in range(4000):
        world.step()
        if world.done:
            break
    assert world.done, world
    assert world.loads <= world.now / world.residence_s * len(world.models) + len(world.models)


class _World:
    """A machine with memory for one to two of its models, simulated."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.now, self.loads, self.residence_s = 0.0, 0, 5.0
        group = SwapPolicy(group="g") if chance.random() < 0.3 else SwapPolicy()
        self.models = {
            name: Sleepable(name, "asleep", swap=replace(group, priority=chance.randrange(3)))
            for name in "abcd"[: chance.randrange(2, 5)]
        }
        self.sizes = {name: chance.randrange(5, 11) for name in self.models}
        self.memory = chance.randrange(10, 22)
        self.queue = dict.fromkeys(self.models, 0)
        self.oldest: dict[str, float] = {}
        self.ends: dict[str, float] = {}  # of starts, stops and requests under way
        self.to_come = 200

    @property
    def done(self) -> bool:
        return not self.to_come and not any(self.queue.values())

    def step(self) -> None:
        self.now += 0.1
        for _ in range(self.chance.randrange(3)):
            if self.to_come:
                self.to_come -= 1
                name = self.chance.choice(list(self.models))
                self.queue[name] += 1
                self.oldest.setdefault(name, self.now)
        for name, one in self.models.items():
            self.models[name] = self._later(one)
        used = sum(
            self.sizes[name] for name, one in self.models.items() if one.phase not in ("asleep",)
        )
        assert used <= self.memory
        for action in schedule(
            Situation(
                self.now, tuple(map(self._shown, self.models.values())),
                {None: self.memory - used}, self.residence_s,
            )
        ):  # fmt: skip
            self._act(action)

    def _shown(self, one: Sleepable) -> Sleepable:
        size = {None: self.sizes[one.name]}
        asleep = one.phase == "asleep"
        waiting = 0 if one.phase == "ready" else self.queue[one.name]
        return replace(
            one, waiting=waiting, oldest_at=self.oldest.get(one.name, 0.0),
            needs=size if asleep else {}, holds={} if asleep else size,
        )  # fmt: skip

    def _later(self, one: Sleepable) -> Sleepable:
        over = self.now >= self.ends.get(one.name, 0.0)
        if one.phase == "starting" and over:
            return self._put(one, "ready")
        if one.phase == "stopping" and over:
            return self._put(one, "asleep")
        if one.phase in ("ready", "closing"):
            one = replace(one, flying=0 if over else one.flying)
            if one.phase == "ready" and self.queue[one.name]:
                one = replace(one, flying=self.queue[one.name], used_at=self.now)
                self.queue[one.name] = 0
                self.oldest.pop(one.name, None)
                self.ends[one.name] = self.now + self.chance.random() * 3
        return one

    def _put(self, one: Sleepable, phase: Phase) -> Sleepable:
        return replace(one, phase=phase, since=self.now)

    def _act(self, action: object) -> None:
        assert isinstance(action, StartNow | Close | Unload | Reopen | Refuse)
        one = self.models[action.name]
        assert not isinstance(action, Refuse), action
        if isinstance(action, StartNow):
            assert one.phase == "asleep"
            self.loads += 1
            self.ends[one.name] = self.now + 0.2 + self.chance.random() * 4
            self.models[one.name] = self._put(one, "starting")
        elif isinstance(action, Close):
            assert self.now >= one.since + self.residence_s
            self.models[one.name] = self._put(one, "closing")
        elif isinstance(action, Unload):
            assert not one.flying and one.phase == "closing"
            self.ends[one.name] = self.now + self.chance.random()
            self.models[one.name] = self._put(one, "stopping")
        else:
            self.models[one.name] = replace(one, phase="ready")
