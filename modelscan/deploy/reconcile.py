"""Compare records with what runs, and correct the row and the routing entry.

Changes are made under the deployment's lock. ``list`` and ``show`` reconcile the deployments whose
lock is free; where it is held, another command is changing the deployment and its row is current.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import SLEEP_CAUSES, EndCause, reason_text
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.nearest import nearest
from modelscan.deploy import routes
from modelscan.deploy.recommended import recommended_sampling
from modelscan.state.locks import hold
from modelscan.state.store import deployment_lock
from modelscan.targets.base import Observation, StartFailed
from modelscan.targets.events import no_events

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.session import Session

_TRY_LOCK_S = 0.0
_VERIFY_S = 30.0
_OBSERVERS = 16
_MAY_BE_SLOW = (EndCause.NO_ANSWER, EndCause.TIMED_OUT)  # on a busy machine, within _VERIFY_S
Warn = Callable[[str], None]


class HowEnded(NamedTuple):
    """How a deployment ended. ``reason``: for people, None where the cause says everything.

    ``withheld``: its owner had disabled its routing entry, so that no request wakes it.
    """

    cause: EndCause
    reason: str | None = None
    state: State = State.STOPPED
    withheld: bool = False


BY_USER = HowEnded(EndCause.STOPPED_BY_USER)


def no_warnings(_: str) -> None:
    """For callers that print no warnings."""


def observed(
    rows: Sequence[Deployment], session: Session, warn: Warn = no_warnings
) -> tuple[Deployment, ...]:
    """The rows in their present state. All targets are observed at once, so that several
    unreachable ones together take one time limit."""
    calls = [functools.partial(_observe, row, session) for row in rows]
    if len(calls) < 2:
        observations = [call() for call in calls]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(len(calls), _OBSERVERS)) as pool:
            observations = list(pool.map(lambda call: call(), calls))
    pairs = zip(rows, observations, strict=True)
    return tuple(refreshed(row, session, observation, warn) for row, observation in pairs)


def _observe(row: Deployment, session: Session) -> Observation | None:
    try:
        return session.target(row).observe(row)
    except ModelscanError:
        return None  # ``refreshed`` repeats the call and warns


def refreshed(
    row: Deployment, session: Session, seen: Observation | None = None, warn: Warn = no_warnings
) -> Deployment:
    """The reconciled row; the stored one while another command holds the lock.

    Without ``seen`` the target is observed. Where target or routing file raise an error, the row
    has the observed state and ``warn`` receives the message.
    """
    try:
        seen = seen or session.target(row).observe(row)
    except ModelscanError as error:  # its target is no longer configured, its key is missing, …
        warn(f"{row.name}: {error.message}")
        return replace(row, health="unknown")
    if _agrees(row, seen):
        return _as_seen(row, seen)
    lock = deployment_lock(session.config.paths.locks_dir, row.name)
    try:
        with hold(lock, timeout_s=_TRY_LOCK_S):
            stored = session.store.get(row.name)
            if stored is None:
                return row
            current = reconcile(stored, session)
    except ModelscanError as error:
        if error.code == "locked":  # what another command starts or ends is in no state for long
            return _as_seen(row, seen) if seen.state is row.state else row
        warn(f"{row.name}: {error.message}")
        return replace(
            row, state=seen.state, health=seen.health, reason=seen.reason, end_cause=seen.cause
        )  # fmt: skip
    if not _route_agrees(current):
        warn(f"{current.name} is {current.state.value}, but its routing entry was not changed")
    return current


def _as_seen(row: Deployment, seen: Observation) -> Deployment:
    """The row with the observed health, drift and restarts, which are not stored."""
    return replace(
        row, health=seen.health, drift=seen.drift, reason=seen.reason or row.reason,
        restarts=max(row.restarts, seen.restarts),
    )  # fmt: skip


def _agrees(row: Deployment, seen: Observation) -> bool:
    """Whether the row needs no change: the usual case, which needs no lock."""
    state, ready = seen.state, seen.ready
    if seen.pid not in (None, row.pid) or seen.endpoint not in (None, row.endpoint):
        return False
    if seen.measured is not None:
        return False
    stable = row.state in (State.RUNNING, State.STARTING, State.STOPPED, State.FAILED)
    return stable and state is row.state and not ready and _route_agrees(row)


def _route_agrees(row: Deployment) -> bool:
    """Whether the routing entry is enabled exactly while the deployment runs, or may run."""
    return row.route is None or row.asleep or row.routed is (row.state is State.RUNNING)


def reconcile(deployment: Deployment, session: Session) -> Deployment:
    """Correct row and routing entry by what the target reports; the caller holds the lock."""
    if deployment.state in (State.PENDING, State.DOWNLOADING):
        downloading = deployment.state is State.DOWNLOADING
        phase = "while its weights were downloaded" if downloading else "before the engine started"
        reason = f"it was interrupted {phase}"
        return _recorded(deployment, session, HowEnded(EndCause.INTERRUPTED, reason, State.FAILED))
    seen = session.target(deployment).observe(deployment)
    if deployment.state is State.STOPPING:
        return _after_stop(deployment, seen, session)
    deployment = replace(deployment, restarts=max(deployment.restarts, seen.restarts))
    if seen.state in (State.FAILED, State.STOPPED) and deployment.state is not seen.state:
        cause = seen.cause or EndCause.FAILED
        return _recorded(deployment, session, HowEnded(cause, seen.reason, seen.state))
    if seen.ready:
        return _catch_up(deployment, session)
    if deployment.state is State.RUNNING:
        deployment = _follow(deployment, seen, session)
    return _as_seen(_with_route(deployment, session), seen)


def _after_stop(deployment: Deployment, seen: Observation, session: Session) -> Deployment:
    """A stop that was interrupted or refused: what runs decides, and nothing is ended here.

    Requests may still run; only a command that says so ends them.
    """
    if seen.state is State.STOPPING:
        return _as_seen(deployment, seen)
    if seen.state not in (State.RUNNING, State.STARTING):
        slept = HowEnded(EndCause.PUT_TO_SLEEP) if deployment.wakes else BY_USER
        return _recorded(deployment, session, slept)
    back = replace(deployment, state=seen.state, routed=False, health=seen.health, wakes=False)
    session.store.put(back)
    return _as_seen(_with_route(back, session), seen)


def _follow(deployment: Deployment, seen: Observation, session: Session) -> Deployment:
    """A running deployment with its new process or its new address."""
    if seen.pid not in (None, deployment.pid) or seen.measured is not None:
        before, now = deployment.measured, seen.measured
        if before is not None and now is not None:
            now = replace(now, computed=before.computed)
        deployment = replace(
            deployment, pid=seen.pid, pid_started_at=seen.pid_started_at, measured=now
        )
        session.store.put(deployment)  # its supervisor restarted the engine
    if seen.endpoint not in (None, deployment.endpoint):
        deployment = replace(deployment, endpoint=seen.endpoint, routed=False)
        session.store.put(deployment)  # its server has a new address
    return deployment


def _with_route(deployment: Deployment, session: Session) -> Deployment:
    """Enable or disable the routing entry where an earlier command failed to; a routing file that
    is still invalid is left for the next command."""
    if deployment.state is State.RUNNING and deployment.route and not deployment.routed:
        with contextlib.suppress(ModelscanError):
            return finish(deployment, session)
    ended = deployment.state in (State.STOPPED, State.FAILED) and not deployment.asleep
    if ended and deployment.routed and routes.disable(session.routing_file, deployment) is None:
        deployment = replace(deployment, routed=False)
        session.store.put(deployment)
    return deployment


def _catch_up(deployment: Deployment, session: Session) -> Deployment:
    """Verify an engine that became ready after its command ended or did not wait."""
    effects = replace(session.effects, events=no_events)
    try:
        running = session.target(deployment).wait_until_ready(deployment, _VERIFY_S, effects)
    except AuthError:
        return deployment  # the key is missing here; a command that has it verifies the engine
    except ModelscanError as error:
        if isinstance(error, StartFailed) and error.cause in _MAY_BE_SLOW:
            return replace(deployment, reason=error.reason)  # it lives: a later command looks again
        if session.target(deployment).controls == "processes":
            return fail(deployment, session, error)
        return _recorded(deployment, session, _why(error))
    running = replace(running, wakes=False)
    session.store.put(running)
    return _with_route(running, session)


def finish(deployment: Deployment, session: Session) -> Deployment:
    """Store the running deployment, then enable its routing entry, then store that."""
    deployment = replace(deployment, wakes=False)
    session.store.put(deployment)
    target = session.target(deployment)
    sampling = functools.partial(recommended_sampling, deployment, session.config)
    if routes.publish(session.routing_file, deployment, target.route_type, sampling):
        deployment = replace(deployment, routed=True)
        session.store.put(deployment)
    return deployment


def fail(deployment: Deployment, session: Session, error: ModelscanError) -> Deployment:
    """End a deployment that failed and store why: the engine's own reason where there is one."""
    return end(deployment, session, _why(error))


def _why(error: ModelscanError) -> HowEnded:
    if isinstance(error, StartFailed):
        return HowEnded(error.cause, error.reason, State.FAILED)
    return HowEnded(EndCause.FAILED, error.message, State.FAILED)


def end(
    deployment: Deployment, session: Session, ending: HowEnded = BY_USER, *, drain_s: float = 0
) -> Deployment:
    """End a deployment: route first, then process, then row. Each step can be repeated."""
    ending = _judged(ending, deployment, session)
    if ending.cause is not EndCause.SWAPPED:
        routes.disable(session.routing_file, deployment)
    cut = session.target(deployment).stop(deployment, drain_s=drain_s)
    if cut is not None:
        session.events(cut)
    return _stored(deployment, session, ending)


def falling_asleep(
    deployment: Deployment, session: Session, ending: HowEnded
) -> tuple[Deployment, HowEnded]:
    """The row of a deployment whose end has begun, and the ending with what the file says.

    Its row says that a request wakes it before its entry is disabled: a gateway that reads both at
    any moment keeps the requests.
    """
    ending = _judged(ending, deployment, session)
    sleeps = ending.cause in SLEEP_CAUSES and not ending.withheld
    routed = deployment.routed and (ending.cause is EndCause.SWAPPED or not sleeps)
    return replace(deployment, state=State.STOPPING, wakes=sleeps, routed=routed), ending


def _recorded(deployment: Deployment, session: Session, ending: HowEnded) -> Deployment:
    """Store that it has ended, and disable its route; nothing is sent to its target."""
    return _stored(deployment, session, _judged(ending, deployment, session))


def _judged(ending: HowEnded, deployment: Deployment, session: Session) -> HowEnded:
    """With what the routing file says before it is changed."""
    sleeps = ending.cause in SLEEP_CAUSES
    return ending._replace(
        withheld=ending.withheld
        or (sleeps and routes.is_withheld(session.routing_file, deployment))
    )  # fmt: skip


def _stored(deployment: Deployment, session: Session, ending: HowEnded) -> Deployment:
    """Route first, then row; of a sleeper the row first, so that requests meanwhile wake it."""
    row = ended_row(deployment, session, ending)
    if row.wakes:
        session.store.put(row)
    if ending.cause is EndCause.SWAPPED:
        return row
    if routes.disable(session.routing_file, deployment) is not None:
        row = replace(row, routed=True)
    session.store.put(row)
    return row


def ended_row(deployment: Deployment, session: Session, ending: HowEnded) -> Deployment:
    """The row of a deployment that ended; its route is to be disabled, except after a swap.

    One that falls asleep wakes unless its entry was disabled by its owner; one that fails while it
    wakes may be woken again.
    """
    sleeping = ending.cause in SLEEP_CAUSES
    row = replace(
        stopped(deployment, session), state=ending.state, end_cause=ending.cause,
        reason=ending.reason or (reason_text(ending.cause) if sleeping else None),
    )  # fmt: skip
    if ending.cause is EndCause.SWAPPED:
        return replace(row, routed=deployment.routed, wakes=True)
    failed = deployment.wakes and ending.state is State.FAILED
    return replace(row, wakes=(sleeping and not ending.withheld) or failed)


def stopped(deployment: Deployment, session: Session) -> Deployment:
    """The row of a deployment that a user stopped."""
    return replace(
        deployment, state=State.STOPPED, reason=None, end_cause=EndCause.STOPPED_BY_USER,
        health=None, routed=False, pid=None, pid_started_at=None, updated_at=session.now(),
        wakes=False,
    )  # fmt: skip


def unknown(name: str, names: Sequence[str]) -> UsageError:
    """The error for an unknown deployment, with the nearest name as a hint."""
    near = nearest(name, names)
    return UsageError(
        f"there is no deployment '{name}'",
        hint=f"modelscan show {near[0]}" if near else "modelscan list",
        code="unknown_deployment",
        details={"nearest": near},
    )
