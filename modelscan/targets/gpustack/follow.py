"""Following a model on a GPUStack server until it runs, and asking it a real question."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, RemoteError
from modelscan.core.units import MIB
from modelscan.state.secrets import redact
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
from modelscan.targets.request import Events

_LOOK_AGAIN_S = 10.0
_DOWN_PAUSE_S = 1.0
_UNSCHEDULABLE_S = 6.0  # memory of a model that just ended is promised for a moment longer
_RESTARTED_S = 25.0  # a worker restarts after 10 s, and 10 s later each time (both versions)
_LOG_LINES = 40
_LOG_S, _LOG_BYTES = 120.0, 16 * MIB
_VERIFY_PAUSE_S = _STREAM_PAUSE_S = 0.5

Mark = tuple[Any, ...]
"""What of an instance is worth another look when it changes."""


def until_running(
    client: Client, model_id: int, deployment: Deployment, deadline: float, events: Events
) -> str | None:
    """Wait until every replica runs; the reason when only some of them can.

    A server that is away for a while (restarted, say) is waited for. Raises RemoteError: failed
    (with the log's end), gone, or too late.
    """
    told: Status | None = None
    last_words: str | None = None
    stuck_at: float | None = None
    still = _Still()
    while True:
        try:
            seen, marks = look(client, model_id)
        except RemoteError as error:
            if error.code == "not_found" or time.monotonic() > deadline:
                raise
            still = _Still()
            events("pending", name=deployment.name, reason=error.message, progress=None, raw=None)
            time.sleep(_DOWN_PAUSE_S)
            continue
        last_words = seen.reason if seen.state is State.STARTING and seen.reason else last_words
        if seen.code == RESTARTING and last_words and last_words not in (seen.reason or ""):
            seen = replace(seen, reason=f"{seen.reason}: {last_words}")
        if told != seen:
            _tell(events, deployment, seen)
            told = seen
        if seen.state is State.RUNNING and (seen.ready >= seen.wanted or seen.final):
            return _partial(seen)
        now = time.monotonic()
        if still.given_up(marks, now) and seen.state is not State.RUNNING:
            seen = replace(seen, state=State.FAILED, final=True, code=FAILED)
        stuck_at = (stuck_at or now) if seen.final else None
        patience = _UNSCHEDULABLE_S if seen.code == UNSCHEDULABLE else 0.0
        if stuck_at is not None and now - stuck_at >= patience:
            raise failure(client, model_id, deployment, seen)
        if now > deadline:
            if seen.state is State.RUNNING:
                return _partial(seen)
            raise failure(client, model_id, deployment, seen)
        wait_s = 1.0 if stuck_at is not None else _LOOK_AGAIN_S
        _wait_for_change(client, model_id, marks, min(deadline, now + wait_s))


class _Still:
    """Instances that failed and that no worker starts again: one of them has none, say."""

    def __init__(self) -> None:
        self.marks: Mapping[int, Mark] = {}
        self.since = 0.0

    def given_up(self, marks: Mapping[int, Mark], now: float) -> bool:
        if marks != self.marks:
            self.marks, self.since = marks, now
        failed = [mark for mark in marks.values() if mark[0] == "error"]
        if not failed or len(failed) < len(marks):
            return False
        attempts = max(int(mark[-1] or 0) for mark in failed)
        return now - self.since >= _RESTARTED_S * (1 + attempts)


def _tell(events: Events, deployment: Deployment, seen: Status) -> None:
    name = "verifying" if seen.state is State.RUNNING else seen.state.value
    events(name, name=deployment.name, reason=seen.reason, progress=seen.progress, raw=seen.raw)


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


def _wait_for_change(client: Client, model_id: int, known: dict[int, Mark], until: float) -> None:
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
    time.sleep(min(_STREAM_PAUSE_S, max(0.0, until - time.monotonic())))  # it was cut, or is none


def verify(client: Client, deployment: Deployment, deadline: float) -> None:
    """A real answer through the server's own inference API; a 200 without one does not count.

    The route becomes usable a moment after the instance: not-found is asked again for a while.
    """
    while True:
        try:
            answer = client.infer(*_question(deployment), what="ask it", timeout_s=120.0)
        except RemoteError as error:
            if time.monotonic() + _VERIFY_PAUSE_S > deadline:
                raise _unverified(deployment, error.message) from error
        else:
            if _answered(answer, deployment.task):
                return
            if time.monotonic() + _VERIFY_PAUSE_S > deadline:
                raise _unverified(deployment, "it answered 200 without an answer in it")
        time.sleep(_VERIFY_PAUSE_S)


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


def _unverified(deployment: Deployment, reason: str) -> RemoteError:
    return RemoteError(
        f"{deployment.name} is running at {deployment.target} but does not answer: {reason}",
        hint=f"modelscan logs {deployment.name}", code="unverified", details={"reason": reason},
    )  # fmt: skip


def failure(client: Client, model_id: int, deployment: Deployment, seen: Status) -> RemoteError:
    """The error of a start that failed, with the end of the engine's log (redacted)."""
    reason = seen.reason or "it failed"
    code = seen.code or "start_failed"
    if not seen.final:
        because = f": {seen.reason}" if seen.reason else ""
        reason, code = f"it is still {seen.state.value}{because}", "timeout"
    return RemoteError(
        f"{deployment.name} did not start at {deployment.target}: {reason}",
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


def instance_json(instance: RemoteInstance) -> dict[str, Any]:
    """What is remembered of a replica."""
    return {
        "id": instance.id,
        "name": instance.name,
        "state": instance.state,
        "worker": instance.worker_name,
        "gpus": list(instance.gpu_indexes),
    }
