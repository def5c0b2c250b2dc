"""From a started process to a deployment that answers, or the reason why it never will."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import AuthError, RemoteError
from modelscan.core.units import format_bytes
from modelscan.engines.base import Failure, Launch
from modelscan.engines.registry import engine
from modelscan.state.clock import now_text
from modelscan.state.secrets import redact, resolve
from modelscan.supervisor import logfile, spawn
from modelscan.supervisor.health import Address, health, metrics, serves, verify
from modelscan.supervisor.processes import Identity, boot_id, memory_bytes
from modelscan.supervisor.restarts import how
from modelscan.supervisor.rundir import Ended, RunDir
from modelscan.targets.registry import Observation
from modelscan.targets.request import Events

PORT_ATTEMPTS = 5
_FIRST_POLL_S, _LONGEST_POLL_S = 0.01, 0.25
_MIN_VERIFY_S = 5.0
_LAST_LINES = 3
_LOG_PATIENCE_S = 1.0


class PortConflict(RemoteError):
    """Somebody else listens on the port that we had chosen."""

    default_code = "port_in_use"


class EngineFailed(RemoteError):
    """The engine did not start, died, or gives no answer."""

    default_code = "engine_failed"


def wait(
    rundir: RunDir, deployment: Deployment, launch: Launch, deadline: float, events: Events
) -> Deployment:
    """Until the engine answers a real request; the deployment as running, with ``measured``.

    ``deadline`` is on ``time.monotonic``'s clock. Raises EngineFailed or PortConflict.
    """
    begun, poll_s = time.monotonic(), _FIRST_POLL_S
    events("starting", name=deployment.name, port=launch.port)
    _use_the_time()
    while not is_ready(rundir, launch):
        spawn.reap()
        if not rundir.alive():
            raise failed(rundir, deployment)
        if time.monotonic() >= deadline:
            raise _timed_out(deployment, time.monotonic() - begun)
        time.sleep(poll_s)
        poll_s = min(poll_s * 1.1, _LONGEST_POLL_S)
    events("verifying", name=deployment.name)
    return verified(rundir, deployment, launch, max(_MIN_VERIFY_S, deadline - time.monotonic()))


def _use_the_time() -> None:
    """Import what comes next (60 ms of it) while the engine loads on another core."""
    import http.client

    import ruamel.yaml
    import yaml

    del http, ruamel, yaml


def is_ready(rundir: RunDir, launch: Launch) -> bool:
    """Our own engine (not whoever has the port) says that it is ready, and ``/health`` agrees."""
    if launch.embedded and not rundir.ready_file.exists():
        return False
    if health(address_of(launch)) != "ok":
        return False
    return launch.embedded or _is_ours(launch)


def _is_ours(launch: Launch) -> bool:
    """A command tells us nothing when it is ready, so somebody else might have its port."""
    try:
        return serves(address_of(launch, with_key=True), launch.served_model)
    except AuthError:
        return False


def verified(
    rundir: RunDir, deployment: Deployment, launch: Launch, timeout_s: float
) -> Deployment:
    """One real answer, then the deployment as running; raises EngineFailed without it."""
    wrong = verify(address_of(launch, with_key=True), launch.task, launch.served_model,
                   timeout_s=timeout_s)  # fmt: skip
    if not rundir.alive():
        raise failed(rundir, deployment)
    if wrong is not None:
        raise EngineFailed(
            f"{deployment.name} started but gives no answer: {redact(wrong)}",
            hint=f"modelscan logs {deployment.name}",
            code="no_answer",
        )
    who = _engine(rundir)
    now = now_text()
    return replace(
        deployment,
        state=State.RUNNING,
        health="ok",
        reason=None,
        pid=who.pid if who else None,
        pid_started_at=who.started_at if who else None,
        measured=measured(rundir, launch, who.pid if who else None),
        started_at=now,
        updated_at=now,
    )


def measured(rundir: RunDir, launch: Launch, pid: int | None) -> Mapping[str, Any]:
    """What the engine said it allocated, how long it took to load, and its process's size."""
    memory = _memory_lines(rundir, launch)
    if engine(launch.engine).reserves_pool:
        memory = engine(launch.engine).with_metrics(
            memory, metrics(address_of(launch, with_key=True))
        )
    ready = rundir.ready() or {}
    return {
        "source": None,
        "parts": None,
        "total_bytes": None,
        "devices": None,
        **(memory or {}),
        "load_s": ready.get("load_s"),
        "import_s": ready.get("import_s"),
        "engine_version": ready.get("engine_version") or (memory or {}).get("engine_version"),
        "rss_bytes": memory_bytes(pid)[0] if pid else None,
    }


def _memory_lines(rundir: RunDir, launch: Launch) -> Mapping[str, Any] | None:
    """On busy cores an engine may answer before the supervisor has written its log down."""
    deadline = time.monotonic() + _LOG_PATIENCE_S
    while True:
        found = engine(launch.engine).measured(logfile.read_text(rundir.log_file))
        if found is not None or time.monotonic() >= deadline:
            return found
        time.sleep(_FIRST_POLL_S)


def address_of(launch: Launch, *, with_key: bool = False) -> Address:
    """Where to ask; the key only where it is needed."""
    reference = next(iter(launch.secrets.values()), None) if with_key else None
    return Address(launch.address, launch.port, resolve(reference) if reference else None)


def failed(rundir: RunDir, deployment: Deployment) -> RemoteError:
    """The error for an engine that ended before it answered."""
    failure = reason(rundir, deployment)
    kind = PortConflict if failure.port_taken else EngineFailed
    return kind(
        f"{deployment.name} did not start: {failure.reason}",
        hint=failure.hint or f"modelscan logs {deployment.name}",
        details={
            "reason": failure.reason, "kind": failure.kind, "retry": list(failure.retry),
            "log_tail": _tail(rundir), "plan": _in_short(deployment),
        },
    )  # fmt: skip


def _in_short(deployment: Deployment) -> Mapping[str, Any] | None:
    """What was tried, for whoever looks for the next best."""
    if deployment.plan is None:
        return None
    names = ("backend", "quantization", "context_tokens")
    total = deployment.plan["estimate"]["total_bytes"]
    return {"name": deployment.name, "total_bytes": total,
            **{name: deployment.plan.get(name) for name in names}}  # fmt: skip


def _timed_out(deployment: Deployment, waited_s: float) -> EngineFailed:
    return EngineFailed(
        f"{deployment.name} was not ready after {waited_s:.0f} s",
        hint=f"modelscan logs {deployment.name}, or deploy it with a longer --timeout",
        code="timeout",
    )


def reason(rundir: RunDir, deployment: Deployment) -> Failure:
    """Why a start came to nothing: the engine's own words first."""
    ended = rundir.ended()
    if ended is None or ended.run_id != deployment.run_id:
        return _never_ran(rundir, deployment)
    if ended.asked:
        return Failure("it was stopped while it was starting")
    log = logfile.current_text(rundir.log_file)
    said = engine(deployment.backend).failure(log)
    if said is not None:
        found = replace(said, reason=redact(said.reason))
    else:
        found = Failure(how(ended, _tail(rundir)), _end_hint(ended, deployment))
    limit = Launch.from_json(deployment.launch).limits.memory_bytes if deployment.launch else None
    if limit is None or found.kind not in (None, "memory"):
        return found
    said_limit = f"{format_bytes(limit)} of host memory, the stacks of its threads included"
    return replace(found, hint=f"it may allocate {said_limit}: a larger --memory-limit, or none")


def _never_ran(rundir: RunDir, deployment: Deployment) -> Failure:
    running = rundir.running()
    if running is not None and running.run_id == deployment.run_id:
        if not running.supervisor.started.startswith(boot_id()):
            return Failure("the machine was restarted", f"modelscan start {deployment.name}")
        return Failure("it was killed together with its supervisor",
                       f"modelscan start {deployment.name}")  # fmt: skip
    said = spawn.last_error(rundir)
    if said is not None:
        return Failure(f"its supervisor failed: {redact(said)}", "modelscan doctor")
    return Failure("it was interrupted before the engine started",
                   f"modelscan start {deployment.name}")  # fmt: skip


def ended(rundir: RunDir, deployment: Deployment) -> Observation:
    """What became of a running deployment whose engine is gone."""
    end = rundir.ended()
    if end is not None and end.run_id == deployment.run_id:
        if end.idle:
            return Observation(State.STOPPED, reason=idle_reason(deployment))
        if end.asked:
            return Observation(State.STOPPED, reason="the engine was told to stop (SIGTERM)")
        reason = redact(how(end, _tail(rundir))) + _in_vain(end.restarts)
        return Observation(State.FAILED, reason=reason, restarts=end.restarts)
    failure = _never_ran(rundir, deployment)
    restarted = failure.reason == "the machine was restarted"
    return Observation(State.STOPPED if restarted else State.FAILED, reason=failure.reason)


def _in_vain(restarts: int) -> str:
    if not restarts:
        return ""
    return f" (after {restarts} restart{'s' if restarts > 1 else ''})"


def unstarted(rundir: RunDir, deployment: Deployment) -> Observation:
    """What became of a start whose engine is gone and that nobody saw ready."""
    end = rundir.ended()
    if end is not None and end.run_id == deployment.run_id and end.idle:
        return Observation(State.STOPPED, reason=idle_reason(deployment))
    return Observation(State.FAILED, reason=reason(rundir, deployment).reason)


def observed(rundir: RunDir, state: str) -> Observation:
    """A living deployment: its engine of now, and what crashed before."""
    who, crash = _engine(rundir), rundir.restarts()
    pid, since = (who.pid, who.started_at) if who else (None, None)
    if crash is None:
        return Observation(State.RUNNING, state, pid=pid, pid_started_at=since)
    number = f"{crash.count} of {crash.limit}"
    doing = f"restart {number} is due" if crash.waiting else f"restart {number} was made"
    return Observation(
        State.RUNNING, state, reason=f"{doing} because {redact(crash.reason)}", pid=pid,
        pid_started_at=since, restarts=crash.count,
    )  # fmt: skip


def _engine(rundir: RunDir) -> Identity | None:
    running = rundir.running()
    return running.engine if running else None


IDLE = "idle"


def idle_reason(deployment: Deployment) -> str:
    """Begins with ``IDLE``: whoever starts on demand looks for that."""
    if deployment.ttl_s is None:
        return IDLE
    return f"{IDLE}: no request for {deployment.ttl_s:g} s"


def _end_hint(ended: Ended, deployment: Deployment) -> str | None:
    if ended.signal == signal.SIGKILL:
        return "free some memory (the kernel kills what takes too much), then try again"
    return f"modelscan logs {deployment.name}"


def _tail(rundir: RunDir) -> list[str]:
    lines = [line.strip() for line in logfile.current_text(rundir.log_file).splitlines()]
    return [redact(line) for line in lines if line][-_LAST_LINES:]
