"""What is recorded against what is there: the row and the route follow reality.

Changes run under the deployment's lock. ``list`` and ``show`` look at every deployment whose lock
is free (where it is not, another command is at work and the row says what it does).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.nearest import nearest
from modelscan.deploy import routes
from modelscan.deploy.session import Session
from modelscan.state.locks import hold
from modelscan.state.store import deployment_lock
from modelscan.targets.base import Observation, StartFailed
from modelscan.targets.events import no_events

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

_TRY_LOCK_S = 0.0
_VERIFY_S = 30.0
_OBSERVERS = 16
Warn = Callable[[str], None]


def no_warnings(_: str) -> None:
    """For callers that show none."""


def observed(
    rows: Sequence[Deployment], session: Session, warn: Warn = no_warnings
) -> tuple[Deployment, ...]:
    """The rows as they really are. All targets are asked at once: one that hangs costs its time
    limit only once."""
    looks = [functools.partial(_look, row, session) for row in rows]
    if len(looks) < 2:
        seen = [look() for look in looks]
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(len(looks), _OBSERVERS)) as pool:
            seen = list(pool.map(lambda look: look(), looks))
    pairs = zip(rows, seen, strict=True)
    return tuple(refreshed(row, session, look, warn) for row, look in pairs)


def _look(row: Deployment, session: Session) -> Observation | None:
    try:
        return session.target(row).observe(row)
    except ModelscanError:
        return None  # ``refreshed`` says why


def refreshed(
    row: Deployment, session: Session, seen: Observation | None = None, warn: Warn = no_warnings
) -> Deployment:
    """The row after a look at reality; as it is while another command works on it.

    A routing file that cannot be changed does not hide the truth: ``warn`` gets the message.
    """
    try:
        seen = seen or session.target(row).observe(row)
    except ModelscanError as error:  # its target is not configured any more, its key is missing, …
        warn(f"{row.name}: {error.message}")
        return replace(row, health="unknown")
    if _agrees(row, seen):
        return _as_seen(row, seen)
    lock = deployment_lock(session.config.paths.locks_dir, row.name)
    try:
        with hold(lock, timeout_s=_TRY_LOCK_S):
            again = session.store.get(row.name)
            if again is None:
                return row
            now = reconcile(again, session)
    except ModelscanError as error:
        if error.code == "locked":
            return _as_seen(row, seen)
        warn(f"{row.name}: {error.message}")
        return replace(
            row, state=seen.state, health=seen.health, reason=seen.reason, end_cause=seen.cause
        )  # fmt: skip
    if not _route_agrees(now):
        warn(f"{now.name} is {now.state.value}, but the routing file could not be changed")
    return now


def _as_seen(row: Deployment, seen: Observation) -> Deployment:
    """The row with what only a look can tell; none of it is written down."""
    return replace(
        row, health=seen.health, drift=seen.drift, reason=seen.reason or row.reason,
        restarts=max(row.restarts, seen.restarts),
    )  # fmt: skip


def _agrees(row: Deployment, seen: Observation) -> bool:
    """Nothing to write: the usual case, which takes no lock."""
    state, ready = seen.state, seen.ready
    if seen.pid not in (None, row.pid) or seen.endpoint not in (None, row.endpoint):
        return False
    settled = row.state in (State.RUNNING, State.STARTING, State.STOPPED, State.FAILED)
    return settled and state is row.state and not ready and _route_agrees(row)


def _route_agrees(row: Deployment) -> bool:
    """The entry is written and enabled just while it runs."""
    return row.route is None or row.routed is (row.state is State.RUNNING)


def reconcile(deployment: Deployment, session: Session) -> Deployment:
    """Make row and route agree with what is there; the caller holds the lock."""
    if deployment.state in (State.PENDING, State.DOWNLOADING):
        fetching = deployment.state is State.DOWNLOADING
        doing = "while its weights were fetched" if fetching else "before the engine started"
        reason = f"it was interrupted {doing}"
        return _over(deployment, session, State.FAILED, EndCause.INTERRUPTED, reason)
    if deployment.state is State.STOPPING:
        return end(deployment, session)
    seen = session.target(deployment).observe(deployment)
    deployment = replace(deployment, restarts=max(deployment.restarts, seen.restarts))
    if seen.state in (State.FAILED, State.STOPPED) and deployment.state is not seen.state:
        cause = seen.cause or EndCause.FAILED
        return _over(deployment, session, seen.state, cause, seen.reason)
    if seen.ready:
        return _catch_up(deployment, session)
    if deployment.state is State.RUNNING:
        deployment = _follow(deployment, seen, session)
    return _as_seen(_with_route(deployment, session), seen)


def _follow(deployment: Deployment, seen: Observation, session: Session) -> Deployment:
    """It still runs: as another process, or at another address."""
    if seen.pid not in (None, deployment.pid):
        deployment = replace(deployment, pid=seen.pid, pid_started_at=seen.pid_started_at)
        session.store.put(deployment)  # its supervisor started it again
    if seen.endpoint not in (None, deployment.endpoint):
        deployment = replace(deployment, endpoint=seen.endpoint, routed=False)
        session.store.put(deployment)  # its server has another address now
    return deployment


def _with_route(deployment: Deployment, session: Session) -> Deployment:
    """Write or withdraw what an earlier command could not; a file that is still broken waits."""
    if deployment.state is State.RUNNING and deployment.route and not deployment.routed:
        with contextlib.suppress(ModelscanError):
            return finish(deployment, session)
    over = deployment.state in (State.STOPPED, State.FAILED)
    if over and deployment.routed and routes.withdraw(session.routing_file, deployment) is None:
        deployment = replace(deployment, routed=False)
        session.store.put(deployment)
    return deployment


def _catch_up(deployment: Deployment, session: Session) -> Deployment:
    """The engine is ready, and the command that waited for it is gone (or did not wait)."""
    effects = replace(session.effects, events=no_events)
    try:
        running = session.target(deployment).wait_until_ready(deployment, _VERIFY_S, effects)
    except AuthError:
        return deployment  # its key is not here: a command that has it will verify it
    except ModelscanError as error:
        return fail(deployment, session, error)
    session.store.put(running)
    return _with_route(running, session)


def finish(deployment: Deployment, session: Session) -> Deployment:
    """It runs: write that down, then its route, then that the route is written."""
    session.store.put(deployment)
    target = session.target(deployment)
    if routes.publish(session.routing_file, deployment, target.route_type):
        deployment = replace(deployment, routed=True)
        session.store.put(deployment)
    return deployment


def fail(deployment: Deployment, session: Session, error: ModelscanError) -> Deployment:
    """Nothing is left behind but the row that says why: the engine's own words where it has any."""
    if isinstance(error, StartFailed):
        cause, reason = error.cause, error.reason
    else:
        cause, reason = EndCause.FAILED, error.message
    return _over(deployment, session, State.FAILED, cause, reason)


def end(deployment: Deployment, session: Session, *, drain_s: float = 0) -> Deployment:
    """Stopped on purpose. Route first, then the process, then the row; each can be repeated."""
    return _over(deployment, session, State.STOPPED, EndCause.STOPPED_BY_USER, None, drain_s)


def _over(
    deployment: Deployment,
    session: Session,
    state: State,
    cause: EndCause,
    reason: str | None,
    drain_s: float = 0,
) -> Deployment:
    problem = routes.withdraw(session.routing_file, deployment)
    session.target(deployment).stop(deployment, drain_s=drain_s)
    ended = replace(
        stopped(deployment, session), state=state, reason=reason, end_cause=cause,
        routed=problem is not None,
    )  # fmt: skip
    session.store.put(ended)
    return ended


def stopped(deployment: Deployment, session: Session) -> Deployment:
    """The row of a deployment that was ended on purpose."""
    return replace(
        deployment, state=State.STOPPED, reason=None, end_cause=EndCause.STOPPED_BY_USER,
        health=None, routed=False, pid=None, pid_started_at=None, updated_at=session.now(),
    )  # fmt: skip


def unknown(name: str, names: Sequence[str]) -> UsageError:
    """There is no such deployment; the nearest name as a hint."""
    near = nearest(name, names)
    return UsageError(
        f"there is no deployment '{name}'",
        hint=f"modelscan show {near[0]}" if near else "modelscan list",
        code="unknown_deployment",
        details={"nearest": near},
    )
