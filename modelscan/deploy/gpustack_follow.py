"""Following a model on a GPUStack server until it runs, and asking it a real question."""

from __future__ import annotations

import time
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, RemoteError
from modelscan.deploy.request import Events
from modelscan.engines.gpustack.client import Client
from modelscan.engines.gpustack.states import Status, status
from modelscan.engines.gpustack.types import RemoteInstance, parse_instance, parse_model
from modelscan.engines.gpustack.watch import parse_line
from modelscan.state.secrets import redact

_LOOK_AGAIN_S = 2.0
_LOG_LINES = 40
_VERIFY_PAUSE_S = 1.0


def until_running(
    client: Client, model_id: int, deployment: Deployment, deadline: float, events: Events
) -> None:
    """Wait for the state running. Raises RemoteError: failed (with the log's end), or too late."""
    last: Status | None = None
    while True:
        seen = look(client, model_id)
        if last is None or (seen.state, seen.progress, seen.reason) != (
            last.state, last.progress, last.reason,
        ):  # fmt: skip
            events(seen.state.value, name=deployment.name, reason=seen.reason,
                   progress=seen.progress, raw=seen.raw)  # fmt: skip
        last = seen
        if seen.state is State.RUNNING:
            return
        if seen.final:
            raise failure(client, model_id, deployment, seen.reason or "it failed")
        if time.monotonic() > deadline:
            waiting = f"it is still {seen.state.value}"
            reason = f"{waiting}: {seen.reason}" if seen.reason else waiting
            raise failure(client, model_id, deployment, reason)
        _wait_for_change(client, model_id, deadline)


def look(client: Client, model_id: int) -> Status:
    """The model and its instances, read together."""
    model = parse_model(client.get(f"models/{model_id}", what="read the model"))
    rows = client.list("model-instances", model_id=model_id)
    mine = [parse_instance(row) for row in rows]
    return status(model, [instance for instance in mine if instance.model_id == model_id])


def _wait_for_change(client: Client, model_id: int, deadline: float) -> None:
    """Until the watch stream reports one of its instances anew, or a while has passed.

    The stream replays every row first; that and a lost stream only mean looking again.
    """
    until = min(deadline, time.monotonic() + _LOOK_AGAIN_S)
    seen: dict[int, Any] = {}
    try:
        params = {"watch": "true", "model_id": model_id}
        silence = max(0.1, until - time.monotonic())
        with client.stream(
            "model-instances", what="watch", params=params, silence_s=silence
        ) as lines:
            for line in lines:
                event = parse_line(line)
                if event is not None and event.row.get("model_id") == model_id:
                    key = (event.kind, event.row.get("state"), event.row.get("download_progress"))
                    if event.id in seen and seen[event.id] != key:
                        return
                    seen[event.id] = key
                if time.monotonic() > until:
                    return
    except ModelscanError:
        time.sleep(min(0.5, max(0.0, until - time.monotonic())))


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


def failure(client: Client, model_id: int, deployment: Deployment, reason: str) -> RemoteError:
    """The error of a start that failed, with the end of the engine's log (redacted)."""
    log = log_tail(client, model_id)
    return RemoteError(
        f"{deployment.name} did not start at {deployment.target}: {reason}",
        hint=_hint(deployment, reason), code="start_failed",
        details={"reason": reason, "log": log},
    )  # fmt: skip


def _hint(deployment: Deployment, reason: str) -> str:
    if "no worker" in reason:
        return f"modelscan plan {deployment.model} --target {deployment.target}"
    return f"modelscan logs {deployment.name}"


def log_tail(client: Client, model_id: int) -> list[str]:
    """The last lines of the first instance's log; [] when there is none to read."""
    try:
        rows = client.list("model-instances", model_id=model_id)
        if not rows:
            return []
        path = f"model-instances/{rows[0]['id']}/logs"
        params = {"tail": _LOG_LINES, "follow": "false"}
        with client.stream(path, what="read the log", params=params) as lines:
            return [redact(line) for line in lines][-_LOG_LINES:]
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
