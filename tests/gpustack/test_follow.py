"""What a look at a GPUStack model leads to: pure, with the clock as an argument."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from modelscan.core.deployment_state import State
from modelscan.targets.gpustack.engine_log import Mark
from modelscan.targets.gpustack.follow import Done, Fail, FollowState, Patience, Wait
from modelscan.targets.gpustack.states import FAILED, RESTARTING, UNSCHEDULABLE, Status

PATIENCE = Patience(look_again_s=10, unschedulable_s=6, restarted_s=25)
STARTING = Status(State.STARTING, "loading")
ERROR: Mapping[int, Mark] = {1: ("error", "it broke", None, 0)}


def state(deadline: float = 1000.0) -> FollowState:
    return FollowState(deadline, PATIENCE)


def test_it_waits_for_a_change_and_tells_each_status_once() -> None:
    follow = state()
    assert follow.step(STARTING, {}, 0) == Wait(10, STARTING)
    assert follow.step(STARTING, {}, 3) == Wait(10, None)
    assert follow.step(STARTING, {}, 995) == Wait(5, None)


def test_all_replicas_run() -> None:
    running = Status(State.RUNNING, ready=2, replicas=2)
    assert state().step(running, {}, 0) == Done(None, running)


def test_some_replicas_run_and_the_others_never_will() -> None:
    partial = Status(State.RUNNING, "no worker has room", final=True, ready=1, replicas=2)
    done = state().step(partial, {}, 0)
    assert isinstance(done, Done)
    assert done.note == "1 of 2 replicas run: no worker has room"


def test_some_replicas_run_when_the_time_is_over() -> None:
    follow, partial = state(deadline=5), Status(State.RUNNING, ready=1, replicas=2)
    assert isinstance(follow.step(partial, {}, 0), Wait)
    done = follow.step(partial, {}, 6)
    assert isinstance(done, Done) and done.note == "1 of 2 replicas run"


def test_an_unschedulable_model_gets_a_moment() -> None:
    """Memory of a model that just ended is promised for a moment longer."""
    follow, none = state(), Status(State.FAILED, "no worker", final=True, code=UNSCHEDULABLE)
    assert follow.step(none, {}, 0) == Wait(1.0, none)
    assert isinstance(follow.step(none, {}, 5.9), Wait)
    assert follow.step(none, {}, 6) == Fail(none)


def test_a_moment_that_passed_begins_again() -> None:
    follow, none = state(), Status(State.FAILED, "no worker", final=True, code=UNSCHEDULABLE)
    follow.step(none, {}, 0)
    follow.step(STARTING, {}, 3)
    assert isinstance(follow.step(none, {}, 7), Wait)


def test_a_restart_loop_fails_at_once_with_the_last_words_of_the_attempt_before() -> None:
    follow = state()
    follow.step(Status(State.STARTING, "CUDA error"), {}, 0)
    fail = follow.step(Status(State.FAILED, "restarts", final=True, code=RESTARTING), {}, 1)
    assert isinstance(fail, Fail) and fail.status.reason == "restarts: CUDA error"


@pytest.mark.parametrize(("attempts", "limit_s"), [(0, 25), (2, 75)])
def test_instances_that_no_worker_starts_again_are_given_up(attempts: int, limit_s: float) -> None:
    follow, marks = state(), {1: ("error", "it broke", None, attempts)}
    assert isinstance(follow.step(STARTING, marks, 0), Wait)
    assert isinstance(follow.step(STARTING, marks, limit_s - 0.1), Wait)
    fail = follow.step(STARTING, marks, limit_s)
    assert isinstance(fail, Fail) and (fail.status.code, fail.status.final) == (FAILED, True)


def test_a_change_or_an_outage_begins_the_count_anew() -> None:
    follow = state()
    follow.step(STARTING, ERROR, 0)
    follow.away()
    assert isinstance(follow.step(STARTING, ERROR, 30), Wait)
    assert isinstance(follow.step(STARTING, {1: ("starting", None, None, 1)}, 40), Wait)
    assert isinstance(follow.step(STARTING, ERROR, 54), Wait)


def test_too_late() -> None:
    assert state(deadline=5).step(STARTING, {}, 6) == Fail(STARTING)
