"""GPUStack's states as deployment states, from all of the server's fields. Pure.

One field is never enough: a stopped model is "pending", an unschedulable one too, a crashing one
alternates between "starting" and "error", and the reason is in the instance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelscan.core.deployment_state import State
from modelscan.targets.gpustack.types import RemoteInstance, RemoteModel

RESTART_LOOP = 2
"""Restarts after which "starting" is not progress any more (observed pauses: 2, 10, 9 s)."""

UNSCHEDULABLE, RESTARTING, FAILED = "unschedulable", "restart_loop", "start_failed"
_NO_WORKER = ("no suitable worker", "no available worker", "cannot find a suitable")
_IMAGE = re.compile(r"pull|no such image|manifest unknown|image .*not found", re.IGNORECASE)
_ERROR = frozenset({"error", "unreachable"})


@dataclass(frozen=True, slots=True)
class Status:
    """``reason`` explains a failure or a wait; ``final`` means that waiting will not help.

    ``ready`` of ``replicas`` replicas run; ``code`` is the kind of failure.
    """

    state: State
    reason: str | None = None
    final: bool = False
    progress: float | None = None  # of a download, percent
    raw: str | None = None  # the server's own term
    ready: int = 0
    replicas: int = 1
    code: str | None = None


def status(model: RemoteModel, instances: Sequence[RemoteInstance]) -> Status:
    """A model's status. ``final`` failures: unschedulable, failed, or in a restart loop."""
    raw = ", ".join([model.state or "?", *(i.state for i in instances)])
    if model.replicas == 0:
        return Status(State.STOPPING if instances else State.STOPPED, raw=raw, replicas=0)
    ready = sum(i.state == "running" for i in instances)
    code, failure = _first_failure(model, instances)
    if ready:
        reason = failure or (_reason(model, instances) if ready < model.replicas else None)
        return Status(
            State.RUNNING, reason, final=failure is not None, raw=raw,
            ready=ready, replicas=model.replicas, code=code,
        )  # fmt: skip
    if failure:
        return Status(State.FAILED, failure, True, None, raw, 0, model.replicas, code)
    return replace(_on_its_way(model, instances), raw=raw, replicas=model.replicas)


def _first_failure(
    model: RemoteModel, instances: Sequence[RemoteInstance]
) -> tuple[str | None, str | None]:
    for instance in instances:
        failure = None if instance.state == "running" else _failure(instance, model)
        if failure:
            return failure
    return None, None


def _failure(instance: RemoteInstance, model: RemoteModel) -> tuple[str, str] | None:
    """Why this instance will not start by waiting, in the server's own words."""
    message = one_line(instance.state_message)
    if instance.state == "pending" and any(w in (message or "").lower() for w in _NO_WORKER):
        return UNSCHEDULABLE, f"no worker has room for it: {message}"
    if instance.restart_count >= RESTART_LOOP:
        because = f": {message}" if message else ""  # cleared at each new attempt
        return RESTARTING, f"it keeps restarting ({instance.restart_count} times){because}"
    if instance.state in _ERROR:
        if message and _IMAGE.search(message):
            return FAILED, f"its container image cannot be pulled: {message}"
        if not model.raw.get("restart_on_error", True):
            return FAILED, message or f"the instance is in state {instance.state}"
    return None


def _reason(model: RemoteModel, instances: Sequence[RemoteInstance]) -> str | None:
    waiting = (i.state_message for i in instances if i.state_message and i.state != "running")
    return one_line(next(waiting, None)) or one_line(model.state_message)


def _on_its_way(model: RemoteModel, instances: Sequence[RemoteInstance]) -> Status:
    states = {i.state for i in instances}
    reason = _reason(model, instances)
    if "downloading" in states:
        progress = min((i.download_progress or 0.0) for i in instances if i.state == "downloading")
        return Status(State.DOWNLOADING, reason, progress=progress)
    if states & {"scheduled", "initializing", "starting", "error", "unreachable"}:
        return Status(State.STARTING, reason)
    return Status(State.PENDING, reason)


def one_line(text: str | None) -> str | None:
    """A message with bullet points on one line."""
    if not text:
        return None
    parts = [part.strip(" -\t") for part in text.splitlines()]
    return " ".join(part for part in parts if part and part != "Details:") or None
