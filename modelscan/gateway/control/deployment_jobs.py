"""Changes of deployments and routes that take longer than a request, each in a thread of its own.

One change per deployment (or route) at a time; what became of the last one is kept until the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from modelscan.core.envelope import Failure
from modelscan.core.errors import ModelscanError
from modelscan.gateway.control.problems import HttpProblem
from modelscan.gateway.control.threads import in_thread
from modelscan.state.clock import now_text

Action = Literal[
    "deploy", "start", "stop", "restart", "remove", "set", "upgrade", "promote", "rollback"
]
JobState = Literal["running", "done", "failed"]
_MOST_KEPT, _MOST_AT_ONCE = 200, 8


@dataclass(frozen=True, slots=True)
class DeploymentJob:
    """A change of a deployment. ``step``: what it does at the moment; ``error``: why it failed."""

    name: str
    action: Action
    state: JobState
    started_at: str
    ended_at: str | None = None
    step: str | None = None
    error: Failure | None = None


class DeploymentJobs:
    """The changes under way, and the last one of each deployment."""

    def __init__(self) -> None:
        self._jobs: dict[str, DeploymentJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def get(self, name: str) -> DeploymentJob | None:
        """The last change of a deployment."""
        return self._jobs.get(name)

    def list(self) -> tuple[DeploymentJob, ...]:
        """The last change of each deployment, the newest first."""
        return tuple(reversed(self._jobs.values()))

    def step(self, name: str, text: str) -> None:
        """What a change does now."""
        job = self._jobs.get(name)
        if job is not None and job.state == "running":
            self._jobs[name] = replace(job, step=text)

    def begin(self, name: str, action: Action, work: Callable[[], object]) -> DeploymentJob:
        """Start a change. Raises HttpProblem (409) while another one of this deployment runs, (429)
        where too many run.
        """
        running = [one for one in self._jobs.values() if one.state == "running"]
        other = next((one for one in running if one.name == name), None)
        if other is not None and action not in ("stop", "remove"):
            text = f"{name}: {other.action} is not finished yet"
            raise HttpProblem(409, "change_running", text, retry_s=2)
        if len(running) >= _MOST_AT_ONCE:
            raise HttpProblem(429, "changes_running", f"{len(running)} changes run", retry_s=5)
        job = DeploymentJob(name, action, "running", now_text())
        self._jobs.pop(name, None)
        self._jobs[name] = job
        while len(self._jobs) > _MOST_KEPT:
            self._jobs.pop(next(iter(self._jobs)))
        task = asyncio.create_task(self._run(job, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    async def _run(self, job: DeploymentJob, work: Callable[[], object]) -> None:
        error: Failure | None = None
        try:
            await in_thread(work)
        except ModelscanError as caught:
            error = Failure(caught.code, caught.message, caught.hint, caught.details)
        now = self._jobs.get(job.name)
        if now is not None and now.started_at == job.started_at and now.action == job.action:
            state: JobState = "done" if error is None else "failed"
            self._jobs[job.name] = replace(now, state=state, ended_at=now_text(), error=error)
