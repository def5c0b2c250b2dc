"""Following a model on a GPUStack server until it runs, and asking it a real question."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.deployment import Deployment, Replica
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, RemoteError
from modelscan.core.units import MIB
from modelscan.state.secrets import redact
from modelscan.targets.base import Effects, StartFailed
from modelscan.targets.events import AtServer
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.logs import without_environment
from modelscan.targets.gpustack.states import (
    FAILED,
    RESTARTING,
    UNSCHEDULABLE,
    Status,
    status,
)
from modelscan.targets.gpustack.types import RemoteInstance, parse_instance, parse_model
from modelscan.targets.gpustack.watch import DELETE, parse_line

_LOG_LINES = 40
_FIRST_PAUSE_S, _GROWTH = 0.05, 1.5
_LOG_S, _LOG_BYTES = 120.0, 16 * MIB

Mark = tuple[Any, ...]
"""What of an instance is worth another look when it changes."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for, in seconds."""

    look_again_s: float = 10.0  # without any change
    down_pause_s: float = 1.0  # a server that is away
    unschedulable_s: float = (
        6.0  # memory of a model that just ended is promised for a moment longer
    )
    restarted_s: float = 25.0  # a worker restarts after 10 s, and 10 s later each time (0.7, 2.x)
    pause_s: float = 0.5  # the longest between two questions
    gone_s: float = 60.0  # for instances to end


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at a change, at the latest after so long. ``status`` is given where it is new."""

    wait_s: float
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """It runs; ``note`` says what of it does not."""

    note: str | None = None
    status: Status | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """Waiting will not help, or the time is over."""

    status: Status


@dataclass(slots=True)
class FollowState:
    """What was seen so far. ``step`` decides; it does no I/O and reads no clock."""

    deadline: float
    patience: Patience = Patience()
    _told: Status | None = None
    _last_words: str | None = None
    _stuck_at: float | None = None
    _marks: Mapping[int, Mark] = field(default_factory=dict)
    _since: float = 0.0

    def away(self) -> None:
        """The server did not answer: what stood still before proves nothing."""
        self._marks, self._since = {}, 0.0

    def step(self, seen: Status, marks: Mapping[int, Mark], now: float) -> Wait | Done | Fail:
        """What to do after a look. ``now`` and ``deadline`` are on one clock, in seconds."""
        seen = self._with_last_words(seen)
        news = seen if seen != self._told else None
        self._told = seen
        if seen.state is State.RUNNING and (seen.ready >= seen.wanted or seen.final):
            return Done(_partial(seen), news)
        if self._given_up(marks, now) and seen.state is not State.RUNNING:
            seen = replace(seen, state=State.FAILED, final=True, code=FAILED)
        if self._is_stuck(seen, now):
            return Fail(seen)
        if now > self.deadline:
            running = seen.state is State.RUNNING
            return Done(_partial(seen), news) if running else Fail(seen)
        wait_s = self.patience.look_again_s if self._stuck_at is None else 1.0
        return Wait(min(wait_s, self.deadline - now), news)

    def _with_last_words(self, seen: Status) -> Status:
        """A server clears the reason at each new attempt; of a restart loop it is what counts."""
        if seen.state is State.STARTING and seen.reason:
            self._last_words = seen.reason
        words = self._last_words
        if seen.code == RESTARTING and words and words not in (seen.reason or ""):
            return replace(seen, reason=f"{seen.reason}: {words}")
        return seen

    def _given_up(self, marks: Mapping[int, Mark], now: float) -> bool:
        """Instances that failed and that no worker starts again."""
        if marks != self._marks:
            self._marks, self._since = marks, now
        failed = [mark for mark in marks.values() if mark[0] == "error"]
        if not failed or len(failed) < len(marks):
            return False
        attempts = max(int(mark[-1] or 0) for mark in failed)
        return now - self._since >= self.patience.restarted_s * (1 + attempts)

    def _is_stuck(self, seen: Status, now: float) -> bool:
        """Final for long enough: an unschedulable model may find room in a moment."""
        if not seen.final:
            self._stuck_at = None
            return False
        if self._stuck_at is None:
            self._stuck_at = now
        patience = self.patience.unschedulable_s if seen.code == UNSCHEDULABLE else 0.0
        return now - self._stuck_at >= patience


def until_running(
    client: Client,
    model_id: int,
    deployment: Deployment,
    deadline: float,
    effects: Effects,
    patience: Patience,
) -> str | None:
    """Wait until every replica runs; the reason when only some of them can.

    A server that is away for a while (restarted, say) is waited for. Raises StartFailed (with the
    log's end), RemoteError when it is gone.
    """
    state, pause_s = FollowState(deadline, patience), _FIRST_PAUSE_S
    while True:
        try:
            seen, marks = look(client, model_id)
        except RemoteError as error:
            if error.code == "not_found" or time.monotonic() > deadline:
                raise
            state.away()
            effects.events(AtServer(deployment.name, State.PENDING, error.message))
            time.sleep(patience.down_pause_s)
            continue
        what = state.step(seen, marks, time.monotonic())
        if isinstance(what, Fail):
            raise failure(client, model_id, deployment, what.status)
        if what.status is not None:
            _tell(effects, deployment, what.status)
        if isinstance(what, Done):
            return what.note
        _wait_for_change(client, model_id, marks, time.monotonic() + what.wait_s, pause_s)
        pause_s = min(patience.pause_s, pause_s * _GROWTH)


def _tell(effects: Effects, deployment: Deployment, seen: Status) -> None:
    effects.events(
        AtServer(deployment.name, seen.state, seen.reason, seen.progress, seen.raw)
    )  # fmt: skip


def _partial(seen: Status) -> str | None:
    if seen.ready >= seen.wanted:
        return None
    because = f": {seen.reason}" if seen.reason else ""
    return f"{seen.ready} of {seen.wanted} replicas run{because}"


def look(client: Client, model_id: int) -> tuple[Status, dict[int, Mark]]:
    """The model and its instances, read together."""
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
    """Until the watch stream shows an instance otherwise than known, or a while has passed.

    The stream replays every row first: what changed between the look and the stream is seen too.
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
    time.sleep(min(pause_s, max(0.0, until - time.monotonic())))  # it was cut, or there is none


def verify(client: Client, deployment: Deployment, deadline: float, patience: Patience) -> None:
    """A real answer through the server's own inference API; a 200 without one does not count.

    The route becomes usable a moment after the instance: not-found is asked again for a while.
    """
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            answer = client.infer(*_question(deployment), what="ask it", timeout_s=120.0)
        except RemoteError as error:
            if time.monotonic() + pause_s > deadline:
                raise _unverified(deployment, error.message) from error
        else:
            if _answered(answer, deployment.task):
                return
            if time.monotonic() + pause_s > deadline:
                raise _unverified(deployment, "it answered 200 without an answer in it")
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


def _unverified(deployment: Deployment, reason: str) -> StartFailed:
    return StartFailed(
        f"{deployment.name} is running at {deployment.target} but does not answer: {reason}",
        cause=EndCause.NO_ANSWER, reason=reason, hint=f"modelscan logs {deployment.name}",
        code="unverified", details={"reason": reason},
    )  # fmt: skip


_CAUSES = {
    UNSCHEDULABLE: EndCause.UNSCHEDULABLE, RESTARTING: EndCause.RESTART_LOOP,
    FAILED: EndCause.FAILED_TO_START, "timeout": EndCause.TIMED_OUT,
}  # fmt: skip


def cause_of(code: str | None) -> EndCause:
    """The cause for a status's code."""
    return _CAUSES.get(code or "", EndCause.FAILED_TO_START)


def failure(client: Client, model_id: int, deployment: Deployment, seen: Status) -> StartFailed:
    """The error of a start that failed, with the end of the engine's log (redacted)."""
    reason = seen.reason or "it failed"
    code = seen.code or "start_failed"
    if not seen.final:
        because = f": {seen.reason}" if seen.reason else ""
        reason, code = f"it is still {seen.state.value}{because}", "timeout"
    return StartFailed(
        f"{deployment.name} did not start at {deployment.target}: {reason}",
        cause=cause_of(code), reason=reason,
        hint=_hint(deployment, code), code=code,
        details={"reason": reason, "raw": seen.raw, "log": log_tail(client, model_id)},
    )  # fmt: skip


def _hint(deployment: Deployment, code: str) -> str:
    if code == UNSCHEDULABLE:
        return f"modelscan gpu --target {deployment.target}   (what its workers have free)"
    if code == "timeout":
        return f"modelscan start {deployment.name} --timeout SECONDS"
    return f"modelscan logs {deployment.name}"


def log_tail(client: Client, model_id: int) -> list[str]:
    """The last lines of the first instance's log; [] when there is none to read."""
    try:
        rows = client.list("model-instances", model_id=model_id)
        if not rows:
            return []
        path = f"model-instances/{rows[0]['id']}/logs"
        params = {"tail": 20 * _LOG_LINES, "follow": "false"}
        with client.stream(
            path, what="read the log", params=params, within_s=_LOG_S, max_bytes=_LOG_BYTES
        ) as lines:
            return [redact(line) for line in without_environment(lines)][-_LOG_LINES:]
    except ModelscanError:
        return []


def replica(instance: RemoteInstance) -> Replica:
    """What is remembered of an instance."""
    return Replica(
        instance.id, instance.name, instance.state, instance.worker_name, instance.gpu_indexes
    )  # fmt: skip
