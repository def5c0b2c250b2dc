"""Servers on this machine that modelscan did not start: observed, verified and routed to.

modelscan never controls the process: ``stop`` ends only the routing, ``start`` verifies it again
and routes to it, ``remove`` deletes the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import UsageError
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.supervisor.health import Address, serves, verify
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.base import (
    Controls,
    Effects,
    NewDeployment,
    Observation,
    RequestPreview,
    StartFailed,
    as_recorded,
)

NAME = "found"
_VERIFY_S = 60.0


def answering(row: Deployment, now: str) -> Deployment:
    """The row as running, after a test request; the kind of request it answers gives its task.

    Raises StartFailed without an answer.
    """
    wrong = []
    for task in dict.fromkeys((row.task, "chat", "embedding", "rerank")):
        problem = verify(address_of(row), task, row.served_model or row.model, timeout_s=_VERIFY_S)
        if problem is None:
            return replace(
                row, state=State.RUNNING, task=task, health="ok", reason=None, end_cause=None,
                started_at=now, updated_at=now,
            )  # fmt: skip
        wrong.append(problem)
    raise StartFailed(
        f"{row.name} at {row.endpoint} does not answer a test request: {wrong[0]}",
        cause=EndCause.NO_ANSWER, reason=wrong[0], hint="modelscan discover", code="no_answer",
        details={"reason": wrong[0]},
    )  # fmt: skip


def address_of(row: Deployment) -> Address:
    """Its address and key. Raises AuthError if the reference to the key is empty."""
    parts = urlsplit(row.endpoint or "")
    key = resolve(row.api_key) if row.api_key else None
    return Address(parts.hostname or "127.0.0.1", parts.port or 80, key)


class FoundTarget:
    """See ``targets.base.Target``."""

    route_type = "openai"
    controls: Controls = "nothing"

    def __init__(self, config: Config) -> None:
        self._config = config

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        raise UsageError(
            "nothing can be deployed to 'found': it lists servers that modelscan did not start",
            hint="modelscan discover --adopt NAME",
        )

    def preview(self, deployment: Deployment) -> RequestPreview:
        return RequestPreview(f"{deployment.endpoint}/v1/models", method="GET")

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        started = replace(
            deployment, state=State.STARTING, reason=None, end_cause=None, run_id=new_run_id()
        )
        effects.save(started)
        return started

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        return answering(deployment, effects.now())

    def observe(self, deployment: Deployment) -> Observation:
        if deployment.state not in (State.STARTING, State.RUNNING, State.STOPPING):
            return as_recorded(deployment)
        serving = serves(address_of(deployment), str(deployment.served_model))
        if deployment.state is State.STARTING:
            return Observation(State.STARTING, ready=serving)
        if serving:
            return Observation(State.RUNNING, "ok")
        reason = f"{deployment.endpoint} no longer serves it"
        return Observation(State.STOPPED, reason=reason, cause=EndCause.NOT_SERVED)

    def check_stop(self, deployment: Deployment) -> None:
        """``remove`` deletes only the row and the route."""

    def check_start(self, deployment: Deployment) -> None:
        address_of(deployment)

    def interrupt(self, deployment: Deployment) -> None:
        """Does nothing: modelscan started no process."""

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """Ends only the routing: modelscan did not start the process."""

    def remove(self, deployment: Deployment) -> None:
        """Deletes only the row and the route."""

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        raise UsageError(
            f"{deployment.name} was not started by modelscan, so its log is unknown to modelscan",
            code="no_log",
        )
