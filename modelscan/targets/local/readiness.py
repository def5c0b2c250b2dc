"""From a started process to a verified deployment, or the reason of the failure."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelscan.core.deployment import Deployment, Measured
from modelscan.core.deployment_state import Health, State
from modelscan.core.end_cause import EndCause, reason_text
from modelscan.core.errors import AuthError
from modelscan.core.jsonform import from_json
from modelscan.core.launch import LocalLaunch
from modelscan.core.remedy import Remedy
from modelscan.core.units import format_bytes
from modelscan.engines.base import EngineFailure, FailureKind
from modelscan.engines.registry import engine
from modelscan.state.secrets import redact, resolve
from modelscan.supervisor import logfile, spawn
from modelscan.supervisor.health import Address, health, metrics, served_context, serves, verify
from modelscan.supervisor.processes import Identity, boot_id, memory_bytes
from modelscan.supervisor.restarts import how
from modelscan.targets.base import Effects, Observation, StartFailed
from modelscan.targets.events import Starting, Verifying

if TYPE_CHECKING:
    from modelscan.supervisor.rundir import Ended, RunDir

PORT_ATTEMPTS = 5
_FIRST_POLL_S, _LONGEST_POLL_S = 0.01, 0.25
_MIN_VERIFY_S = 5.0
_LAST_LINES = 3
_LOG_PATIENCE_S = 1.0


class PortConflict(StartFailed):
    """Another process listens on the chosen port."""

    default_code = "port_in_use"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a start failed: ``reason`` is text for the user, redacted."""

    cause: EndCause
    reason: str
    hint: str | None = None
    kind: FailureKind | None = None
    remedy: Remedy | None = None


def wait(
    rundir: RunDir, deployment: Deployment, launch: LocalLaunch, deadline: float, effects: Effects
) -> Deployment:
    """Wait until the engine answers a real request; return the deployment as running, with
    ``measured``.

    ``deadline`` is on ``time.monotonic``'s clock. Raises StartFailed or PortConflict.
    """
    begun, poll_s = time.monotonic(), _FIRST_POLL_S
    effects.events(Starting(deployment.name, launch.port))
    _import_meanwhile()
    while not is_ready(rundir, launch):
        if not rundir.alive():
            raise failed(rundir, deployment)
        if time.monotonic() >= deadline:
            raise _timed_out(deployment, time.monotonic() - begun)
        time.sleep(poll_s)
        poll_s = min(poll_s * 1.1, _LONGEST_POLL_S)
    effects.events(Verifying(deployment.name))
    left_s = max(_MIN_VERIFY_S, deadline - time.monotonic())
    return verified(rundir, deployment, launch, left_s, effects.now())


def _import_meanwhile() -> None:
    """Import modules needed later (60 ms) while the engine loads on another core."""
    import http.client

    import ruamel.yaml
    import yaml

    del http, ruamel, yaml


def is_ready(rundir: RunDir, launch: LocalLaunch) -> bool:
    """Whether our own engine (not another one on that port) is ready and ``/health`` agrees."""
    if launch.embedded and not rundir.ready_file.exists():
        return False
    if health(address_of(launch)) != "ok":
        return False
    return launch.embedded or _is_ours(launch)


def _is_ours(launch: LocalLaunch) -> bool:
    """A command writes no file when it is ready, so another process might have its port."""
    try:
        return serves(address_of(launch, with_key=True), launch.served_model)
    except AuthError:
        return False


def verified(
    rundir: RunDir, deployment: Deployment, launch: LocalLaunch, timeout_s: float, now: str
) -> Deployment:
    """Send a test request, then return the deployment as running. Raises StartFailed without an
    answer.
    """
    wrong = verify(address_of(launch, with_key=True), launch.task, launch.served_model,
                   timeout_s=timeout_s)  # fmt: skip
    if not rundir.alive():
        raise failed(rundir, deployment)
    if wrong is not None:
        raise StartFailed(
            f"{deployment.name} started but does not answer a test request: {redact(wrong)}",
            cause=EndCause.NO_ANSWER, hint=f"modelscan logs {deployment.name}", code="no_answer",
        )  # fmt: skip
    _note_ready(rundir, deployment, launch)
    who = _engine(rundir)
    process = _engine_pid(rundir, launch)
    context = served_context(address_of(launch, with_key=True), launch.served_model)
    return replace(
        deployment,
        state=State.RUNNING,
        health="ok",
        reason=None,
        end_cause=None,
        context_tokens=context or deployment.context_tokens,
        pid=who.pid if who else None,
        pid_started_at=who.started_at if who else None,
        measured=measured(rundir, launch, process),
        started_at=now,
        updated_at=now,
    )


def _note_ready(rundir: RunDir, deployment: Deployment, launch: LocalLaunch) -> None:
    """A crash from now on is one of an engine that was ready, also before its supervisor looks
    again; and the variables of a container have been read.
    """
    if not launch.embedded and not rundir.is_ready():
        rundir.write_ready({"run_id": deployment.run_id})
    spec = rundir.spec()
    if spec is not None and spec.container is not None:
        from modelscan.supervisor.containers.supervised import forget_variables

        forget_variables(spec.container)


def measured(rundir: RunDir, launch: LocalLaunch, pid: int | None) -> Measured:
    """What the engine reports it allocated, its load time, and its process's size."""
    memory = _memory_lines(rundir, launch)
    if engine(launch.engine).reserves_pool:
        memory = engine(launch.engine).with_metrics(
            memory, metrics(address_of(launch, with_key=True))
        )
    ready = rundir.ready() or {}
    reported = from_json(Measured, memory or {})
    return replace(
        reported,
        load_s=ready.get("load_s"),
        import_s=ready.get("import_s"),
        engine_version=ready.get("engine_version") or reported.engine_version,
        rss_bytes=memory_bytes(pid)[0] if pid else None,
    )


def _memory_lines(rundir: RunDir, launch: LocalLaunch) -> Mapping[str, Any] | None:
    """On busy cores an engine may answer before the supervisor has written its log."""
    deadline = time.monotonic() + _LOG_PATIENCE_S
    while True:
        figures = engine(launch.engine).measured(logfile.current_text(rundir.log_file))
        if figures is not None or time.monotonic() >= deadline:
            return figures
        time.sleep(_FIRST_POLL_S)


def address_of(launch: LocalLaunch, *, with_key: bool = False) -> Address:
    """The engine's address, with its key only if needed."""
    reference = next(iter(launch.secrets.values()), None) if with_key else None
    return Address(launch.address, launch.port, resolve(reference) if reference else None)


def failed(rundir: RunDir, deployment: Deployment) -> StartFailed:
    """The error for an engine that ended before it answered."""
    ending = why_not_started(rundir, deployment)
    kind = PortConflict if ending.cause is EndCause.PORT_TAKEN else StartFailed
    return kind(
        f"{deployment.name} did not start: {ending.reason}",
        cause=ending.cause, reason=ending.reason, kind=ending.kind, remedy=ending.remedy,
        tried=deployment.plan, hint=ending.hint or f"modelscan logs {deployment.name}",
        details={
            "reason": ending.reason, "kind": ending.kind, "log_tail": _tail(rundir),
            "retry": list(ending.remedy.options()) if ending.remedy else [],
        },
    )  # fmt: skip


def _timed_out(deployment: Deployment, waited_s: float) -> StartFailed:
    return StartFailed(
        f"{deployment.name} was not ready after {waited_s:.0f} s",
        cause=EndCause.TIMED_OUT,
        hint=f"modelscan logs {deployment.name}, or deploy with a longer --timeout",
        code="timeout",
    )


def why_not_started(rundir: RunDir, deployment: Deployment) -> Ending:
    """Why a start failed: the engine's own error first."""
    ended = rundir.ended()
    if ended is None or ended.run_id != deployment.run_id:
        return _never_ran(rundir, deployment)
    if ended.on_purpose:
        return Ending(EndCause.STOPPED_BY_USER, "it was stopped while it was starting")
    ending = _from_log(rundir, deployment, ended)
    limit = _memory_limit(deployment)
    if limit is None or ending.cause not in (EndCause.FAILED_TO_START, EndCause.OUT_OF_MEMORY):
        return ending
    if ending.kind not in (None, "memory"):
        return ending
    hint = (
        f"the memory limit is {format_bytes(limit)} including thread stacks; raise --memory-limit "
        "or leave it out"
    )
    return replace(ending, hint=hint)


def _from_log(rundir: RunDir, deployment: Deployment, ended: Ended) -> Ending:
    log = logfile.current_text(rundir.log_file)
    failure = _of_runtime(log, deployment, ended) or engine(deployment.backend).failure(log)
    if failure is None:
        words = how(ended, _tail(rundir))
        return Ending(EndCause.FAILED_TO_START, redact(words), _end_hint(ended, deployment))
    own_port = failure.port in (None, deployment.port)
    cause, hint = EndCause.FAILED_TO_START, failure.hint
    if failure.port_taken and own_port:  # another port only for its own bind error
        cause = EndCause.PORT_TAKEN
    elif failure.port_taken:
        hint = f"free port {failure.port}, or change the --param that names it"
    if failure.kind == "memory":
        cause = EndCause.OUT_OF_MEMORY
    return Ending(cause, redact(failure.reason), hint, failure.kind, failure.remedy)


def _of_runtime(log: str, deployment: Deployment, ended: Ended) -> EngineFailure | None:
    """Why docker or podman did not start the container."""
    launch = deployment.launch
    if not isinstance(launch, LocalLaunch) or launch.container is None:
        return None
    from modelscan.supervisor.containers.failures import RUNTIME_CODES, explain

    if ended.code not in RUNTIME_CODES:
        return None
    failure = explain(log, launch.container.runtime, launch.container.pinned)
    if failure is None:
        return None
    return EngineFailure(failure.message, failure.hint, port_taken=failure.port_taken)


def _memory_limit(deployment: Deployment) -> int | None:
    launch = deployment.launch
    return launch.limits.memory_bytes if isinstance(launch, LocalLaunch) else None


def _never_ran(rundir: RunDir, deployment: Deployment) -> Ending:
    start_again = f"modelscan start {deployment.name}"
    running = rundir.running()
    if running is not None and running.run_id == deployment.run_id:
        same_boot = running.supervisor.started.startswith(boot_id())
        return _ending(EndCause.KILLED if same_boot else EndCause.MACHINE_RESTARTED, start_again)
    words = spawn.last_error(rundir)
    if words is not None:
        return _ending(EndCause.SUPERVISOR_FAILED, "modelscan doctor", redact(words))
    return Ending(EndCause.INTERRUPTED, "it was interrupted before the engine started", start_again)


def _ending(cause: EndCause, hint: str, words: str | None = None) -> Ending:
    return Ending(cause, reason_text(cause, words) or cause.value, hint)


def ended(rundir: RunDir, deployment: Deployment) -> Observation:
    """The state of a running deployment whose engine has ended."""
    end = rundir.ended()
    if end is None or end.run_id != deployment.run_id:
        ending = _never_ran(rundir, deployment)
        restarted = ending.cause is EndCause.MACHINE_RESTARTED
        state = State.STOPPED if restarted else State.FAILED
        return Observation(state, reason=ending.reason, cause=ending.cause)
    if end.on_purpose:
        return _stopped(end, deployment)
    reason = redact(how(end, _tail(rundir))) + _restart_suffix(end.restarts)
    return Observation(State.FAILED, reason=reason, cause=end.cause, restarts=end.restarts)


def _stopped(end: Ended, deployment: Deployment) -> Observation:
    """It was idle, or stopped by a signal that was not from ``stop``, which writes its own row."""
    ttl_s = deployment.ttl_s
    idle = end.cause is EndCause.IDLE and ttl_s is not None
    reason = reason_text(end.cause, f"no request for {ttl_s:g} s" if idle else None)
    return Observation(State.STOPPED, reason=reason, cause=end.cause)


def _restart_suffix(restarts: int) -> str:
    if not restarts:
        return ""
    return f" (after {restarts} restart{'s' if restarts > 1 else ''})"


def unstarted(rundir: RunDir, deployment: Deployment) -> Observation:
    """The state of a start whose engine ended before any command had seen it ready."""
    end = rundir.ended()
    if end is not None and end.run_id == deployment.run_id and end.cause is EndCause.IDLE:
        return _stopped(end, deployment)
    ending = why_not_started(rundir, deployment)
    return Observation(State.FAILED, reason=ending.reason, cause=ending.cause)


def observed(rundir: RunDir, health: Health, deployment: Deployment | None = None) -> Observation:
    """A running deployment: its current engine, and earlier crashes.

    ``deployment``: its row, if the engine answers; an engine that is not the row's is measured.
    """
    who, crash = _engine(rundir), rundir.restarts()
    pid, since = (who.pid, who.started_at) if who else (None, None)
    found = _measured_again(rundir, deployment, pid) if deployment is not None else None
    if crash is None:
        return Observation(State.RUNNING, health, pid=pid, pid_started_at=since, measured=found)
    number = f"{crash.count} of {crash.limit}"
    doing = f"restart {number} is due" if crash.waiting else f"restart {number} was made"
    return Observation(
        State.RUNNING, health, reason=f"{doing} because {redact(crash.reason)}", pid=pid,
        pid_started_at=since, restarts=crash.count, measured=found,
    )  # fmt: skip


def _measured_again(rundir: RunDir, deployment: Deployment, pid: int | None) -> Measured | None:
    """The figures of an engine that its supervisor has restarted; None for the row's own."""
    launch = deployment.launch
    if pid is None or not isinstance(launch, LocalLaunch):
        return None
    if pid == deployment.pid and deployment.measured is not None:
        return None
    try:
        return measured(rundir, launch, pid)
    except AuthError:  # the key is missing here
        return None


def _engine(rundir: RunDir) -> Identity | None:
    running = rundir.running()
    return running.engine if running else None


def _engine_pid(rundir: RunDir, launch: LocalLaunch) -> int | None:
    """The process that holds the memory: in a container it is not the one that we started."""
    spec = rundir.spec()
    if launch.container is not None and spec is not None and spec.container is not None:
        from modelscan.supervisor.containers.runtime import main_pid

        return main_pid(spec.container)
    who = _engine(rundir)
    return who.pid if who else None


def _end_hint(ended: Ended, deployment: Deployment) -> str | None:
    if ended.signal == signal.SIGKILL:
        return "free some memory (the kernel kills the largest process), then try again"
    return f"modelscan logs {deployment.name}"


def _tail(rundir: RunDir) -> list[str]:
    lines = [line.strip() for line in logfile.current_text(rundir.log_file).splitlines()]
    return [redact(line) for line in lines if line][-_LAST_LINES:]
