"""Follows a model on a GPUStack server until it runs, and sends it a test request."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.deployment import Deployment, Replica
from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError, RemoteError
from modelscan.targets.base import Effects
from modelscan.targets.events import AtServer
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.engine_log import LogKeeper, Mark
from modelscan.targets.gpustack.start_failure import failure, unverified
from modelscan.targets.gpustack.states import (
    FAILED,
    RESTARTING,
    UNSCHEDULABLE,
    Status,
    status,
)
from modelscan.targets.gpustack.types import RemoteInstance, parse_instance, parse_model
from modelscan.targets.gpustack.watch import DELETE, parse_line

_FIRST_PAUSE_S, _GROWTH = 0.05, 1.5


@dataclass(frozen=True, slots=True)
class Patience:
    """Waiting times in seconds."""

    look_again_s: float = 10.0  # between two reads without any change
    down_pause_s: float = 1.0  # between two attempts to reach the server
    unschedulable_s: float = 6.0  # the server frees the memory of an ended model with a delay
    restarted_s: float = 25.0  # a worker restarts after 10 s, and 10 s later each time (0.7, 2.x)
    pause_s: float = 0.5  # longest pause between two requests
    gone_s: float = 60.0  # for instances to end


@dataclass(frozen=True, slots=True)
class Wait:
    """Read again at a change, at the latest after ``wait_s``. ``status`` is set if it is new."""

    wait_s: float
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It runs; ``note`` describes replicas that do not."""

    note: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Waiting is useless, or the deadline has passed."""

    status: Status


@dataclass(slots=True)
class FollowState:
    """The observations so far. ``step`` is a pure decision without I/O or clock."""

    deadline: float
    patience: Patience = Patience()
    _reported: Status | None = None
    _last_reason: str | None = None
    _stuck_at: float | None = None
    _marks: Mapping[int, Mark] = field(default_factory=dict)
    _since: float = 0.0

    def away(self) -> None:
        """The server did not answer: unchanged instances before that prove nothing."""
        self._marks, self._since = {}, 0.0

    def step(self, status: Status, marks: Mapping[int, Mark], now: float) -> Wait | Done | Fail:
        """The next action after a read. ``now`` and ``deadline`` are on one clock, in seconds."""
        status = self._with_last_reason(status)
        news = status if status != self._reported else None
        self._reported = status
        if status.state is State.RUNNING and (status.ready >= status.replicas or status.final):
            return Done(_partial(status), news)
        if self._given_up(marks, now) and status.state is not State.RUNNING:
            status = replace(status, state=State.FAILED, final=True, code=FAILED)
        if self._is_stuck(status, now):
            return Fail(status)
        if now > self.deadline:
            running = status.state is State.RUNNING
            return Done(_partial(status), news) if running else Fail(status)
        wait_s = self.patience.look_again_s if self._stuck_at is None else 1.0
        return Wait(min(wait_s, self.deadline - now), news)

    def _with_last_reason(self, status: Status) -> Status:
        """Keeps the failure reason, which the server clears at each new attempt of a restart
        loop.
        """
        if status.state is State.STARTING and status.reason:
            self._last_reason = status.reason
        words = self._last_reason
        if status.code == RESTARTING and words and words not in (status.reason or ""):
            return replace(status, reason=f"{status.reason}: {words}")
        return status

    def _given_up(self, marks: Mapping[int, Mark], now: float) -> bool:
        """Whether instances failed and no worker restarts them."""
        if marks != self._marks:
            self._marks, self._since = marks, now
        failed = [mark for mark in marks.values() if mark[0] == "error"]
        if not failed or len(failed) < len(marks):
            return False
        attempts = max(int(mark[-1] or 0) for mark in failed)
        return now - self._since >= self.patience.restarted_s * (1 + attempts)

    def _is_stuck(self, status: Status, now: float) -> bool:
        """Whether a final state has lasted long enough: room for the model may free up shortly."""
        if not status.final:
            self._stuck_at = None
            return False
        if self._stuck_at is None:
            self._stuck_at = now
        patience = self.patience.unschedulable_s if status.code == UNSCHEDULABLE else 0.0
        return now - self._stuck_at >= patience


def until_running(
    client: Client,
    model_id: int,
    deployment: Deployment,
    deadline: float,
    effects: Effects,
    patience: Patience,
) -> str | None:
    """Wait until every replica runs; return the reason if only some of them can.

    Waits for a server that is temporarily unreachable. Raises StartFailed (with the last log
    lines), RemoteError if the model no longer exists.
    """
    state, pause_s, begun = FollowState(deadline, patience), _FIRST_PAUSE_S, time.monotonic()
    logs = LogKeeper(client, model_id, deployment.backend)
    while True:
        try:
            seen, marks = look(client, model_id)
            logs.look(marks)
        except RemoteError as error:
            if error.code == "not_found" or time.monotonic() > deadline:
                raise
            state.away()
            effects.events(AtServer(deployment.name, State.PENDING, error.message))
            time.sleep(patience.down_pause_s)
            continue
        what = state.step(seen, marks, time.monotonic())
        if isinstance(what, Fail):
            waited_s = time.monotonic() - begun
            raise failure(deployment, what.status, waited_s, logs.final())
        if what.status is not None:
            _tell(effects, deployment, what.status)
        if isinstance(what, Done):
            return what.note
        _wait_for_change(client, model_id, marks, time.monotonic() + what.wait_s, pause_s)
        pause_s = min(patience.pause_s, pause_s * _GROWTH)


def _tell(effects: Effects, deployment: Deployment, status: Status) -> None:
    effects.events(
        AtServer(deployment.name, status.state, status.reason, status.progress, status.raw)
    )  # fmt: skip


def _partial(status: Status) -> str | None:
    if status.ready >= status.replicas:
        return None
    because = f": {status.reason}" if status.reason else ""
    return f"{status.ready} of {status.replicas} replicas run{because}"


def look(client: Client, model_id: int) -> tuple[Status, dict[int, Mark]]:
    """Read the model and its instances."""
    model = parse_model(client.get(f"models/{model_id}", what="read the model"))
    rows = client.list("model-instances", model_id=model_id)
    mine = [parse_instance(row) for row in rows if row.get("model_id") == model_id]
    return status(model, mine), {one.id: _mark(one.raw) for one in mine}


def _mark(row: Mapping[str, Any]) -> Mark:
    keys = ("state", "state_message", "download_progress", "restart_count")
    return tuple(row.get(key) for key in keys)


def _wait_for_change(
    client: Client, model_id: int, known: Mapping[int, Mark], until: float, pause_s: float
) -> None:
    """Wait until the watch stream shows a change of an instance, or until ``until``.

    The stream replays every row first, so changes since the last read are seen.
    """
    try:
        params = {"watch": "true", "model_id": model_id}
        silence = max(0.1, until - time.monotonic())
        with client.stream(
            "model-instances", what="watch", params=params, silence_s=silence
        ) as lines:
            for line in lines:
                event = parse_line(line)
                if event is not None and event.row.get("model_id") == model_id:
                    gone = event.kind == DELETE and event.id in known
                    if gone or (event.kind != DELETE and known.get(event.id) != _mark(event.row)):
                        return
                if time.monotonic() > until:
                    return
    except ModelscanError:
        pass
    time.sleep(
        min(pause_s, max(0.0, until - time.monotonic()))
    )  # the stream was cut, or there is none


def verify(client: Client, deployment: Deployment, deadline: float, patience: Patience) -> None:
    """Send a test request through the server's inference API; a 200 without an answer does not
    count.

    The route becomes usable a moment after the instance: "not found" is retried for a while.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            answer = client.infer(*_question(deployment), what="ask it", timeout_s=120.0)
        except RemoteError as error:
            if time.monotonic() + pause_s > deadline:
                raise unverified(deployment, error.message) from error
        else:
            if _answered(answer, deployment.task):
                return
            if time.monotonic() + pause_s > deadline:
                raise unverified(deployment, "it answered 200 with an empty answer")
        time.sleep(pause_s)
        pause_s = min(patience.pause_s, pause_s * _GROWTH)


def _question(deployment: Deployment) -> tuple[str, dict[str, Any]]:
    model = deployment.served_model or deployment.name
    if deployment.task == "embedding":
        return "embeddings", {"model": model, "input": "Hello"}
    if deployment.task == "rerank":
        return "rerank", {"model": model, "query": "Hello", "documents": ["Hello", "Bye"]}
    messages = [{"role": "user", "content": "Hello"}]
    return "chat/completions", {"model": model, "messages": messages, "max_tokens": 1}


def _answered(answer: Any, task: str) -> bool:
    key = {"embedding": "data", "rerank": "results"}.get(task, "choices")
    return isinstance(answer, dict) and bool(answer.get(key))


def replica(instance: RemoteInstance) -> Replica:
    """The record of an instance."""
    return Replica(
        instance.id, instance.name, instance.state, instance.worker_name, instance.gpu_indexes
    )  # fmt: skip
