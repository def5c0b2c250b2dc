"""GPUStack's states as ours, from everything the server says together. Pure.

One field is never enough: a stopped model says "pending", an unschedulable one too, a crashing
one alternates between "starting" and "error", and the reason stands on the instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.core.deployment import State
from modelscan.engines.gpustack.types import RemoteInstance, RemoteModel

RESTART_LOOP = 2
"""Restarts after which "starting" is not progress any more (observed pauses: 2, 10, 9 s)."""

_UNSCHEDULABLE = ("no suitable worker", "no available worker", "cannot find a suitable")
_FAILED = frozenset({"error", "unreachable"})


@dataclass(frozen=True, slots=True)
class Status:
    """``reason`` explains a failure or a wait; ``final`` means that waiting will not help."""

    state: State
    reason: str | None = None
    final: bool = False
    progress: float | None = None  # of a download, percent
    raw: str | None = None  # the server's own words, for people who compare


def status(model: RemoteModel, instances: Sequence[RemoteInstance]) -> Status:
    """What a model is doing. ``final`` failures: unschedulable, failed, or in a restart loop."""
    raw = ", ".join([model.state or "?", *(i.state for i in instances)])
    if model.replicas == 0:
        return Status(State.STOPPING if instances else State.STOPPED, raw=raw)
    if any(i.state == "running" for i in instances):
        return Status(State.RUNNING, raw=raw)
    for instance in instances:
        failure = _failure(instance, model)
        if failure:
            return Status(State.FAILED, failure, final=True, raw=raw)
    return _on_its_way(model, instances, raw)


def _failure(instance: RemoteInstance, model: RemoteModel) -> str | None:
    """Why this instance will not come up by waiting, in the server's own words."""
    message = one_line(instance.state_message)
    if instance.state == "pending" and any(w in (message or "").lower() for w in _UNSCHEDULABLE):
        return f"no worker can take it: {message}"
    if instance.restart_count >= RESTART_LOOP:
        return f"it keeps restarting ({instance.restart_count} times): {message or instance.state}"
    if instance.state in _FAILED and not model.raw.get("restart_on_error", True):
        return message or f"the instance is in state {instance.state}"
    return None


def _on_its_way(model: RemoteModel, instances: Sequence[RemoteInstance], raw: str) -> Status:
    states = {i.state for i in instances}
    reason = next((one_line(i.state_message) for i in instances if i.state_message), None)
    reason = reason or one_line(model.state_message)
    if "downloading" in states:
        progress = min((i.download_progress or 0.0) for i in instances if i.state == "downloading")
        return Status(State.DOWNLOADING, reason, progress=progress, raw=raw)
    if states & {"scheduled", "initializing", "starting", "error", "unreachable"}:
        return Status(State.STARTING, reason, raw=raw)
    return Status(State.PENDING, reason, raw=raw)


def one_line(text: str | None) -> str | None:
    """A message with bullet points as one sentence."""
    if not text:
        return None
    parts = [part.strip(" -\t") for part in text.splitlines()]
    return " ".join(part for part in parts if part and part != "Details:") or None
