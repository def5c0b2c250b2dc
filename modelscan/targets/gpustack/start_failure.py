"""The error of a start that failed on a GPUStack server."""

from __future__ import annotations

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.targets.base import StartFailed
from modelscan.targets.gpustack.engine_log import EngineLog
from modelscan.targets.gpustack.states import FAILED, RESTARTING, UNSCHEDULABLE, Status

TIMEOUT = "timeout"
_CAUSES = {
    UNSCHEDULABLE: EndCause.UNSCHEDULABLE, RESTARTING: EndCause.RESTART_LOOP,
    FAILED: EndCause.FAILED_TO_START, TIMEOUT: EndCause.TIMED_OUT,
}  # fmt: skip


def cause_of(code: str | None) -> EndCause:
    """The end cause for a status's code."""
    return _CAUSES.get(code or "", EndCause.FAILED_TO_START)


def failure(deployment: Deployment, status: Status, waited_s: float, log: EngineLog) -> StartFailed:
    """The error of a failed start: what the server says, and the cause in the engine's log."""
    reason, code = status.reason or "it failed", status.code or FAILED
    if not status.final:
        because = f": {status.reason}" if status.reason else ""
        was = "waiting for a worker" if status.state is State.PENDING else status.state.value
        reason, code = f"it was not ready after {waited_s:.0f} s ({was}{because})", TIMEOUT
    named = None if code in (UNSCHEDULABLE, TIMEOUT) else log.failure
    if named is not None:
        reason = f"{reason}: {named.reason}"
    kind, remedy = (named.kind, named.remedy) if named else (None, None)
    details = {
        "reason": reason, "raw": status.raw, "kind": kind, "log": log.excerpt(),
        "retry": list(remedy.options()) if remedy else [],
    }  # fmt: skip
    return StartFailed(
        f"{deployment.name} did not start at {deployment.target}: {reason}",
        cause=cause_of(code), reason=reason, kind=kind, remedy=remedy,
        hint=(named and named.hint) or _hint(deployment, code), code=code, details=details,
    )  # fmt: skip


def unverified(deployment: Deployment, reason: str) -> StartFailed:
    """The error of a model that runs but gives no answer."""
    return StartFailed(
        f"{deployment.name} runs at {deployment.target} but does not answer: {reason}",
        cause=EndCause.NO_ANSWER, reason=reason, hint=f"modelscan logs {deployment.name}",
        code="unverified", details={"reason": reason},
    )  # fmt: skip


def _hint(deployment: Deployment, code: str) -> str:
    if code == UNSCHEDULABLE:
        return f"modelscan gpu --target {deployment.target}   (what its workers have free)"
    if code == TIMEOUT:
        return f"modelscan start {deployment.name} --timeout SECONDS"
    return f"modelscan logs {deployment.name}"
