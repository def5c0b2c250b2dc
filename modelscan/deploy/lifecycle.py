"""deploy, start, stop, remove of one deployment whose lock is held: act, then verify.

A row is written *before* anything can come to life and changed *after* what it says has been
seen, so that a command killed at any point leaves a state that ``deploy.reconcile`` can read
from reality. See docs/lifecycle.md.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import ACTIVE_STATES, State
from modelscan.core.errors import (
    AuthError,
    ModelscanError,
    NotDeployableError,
    RemoteError,
    UsageError,
)
from modelscan.deploy import routes
from modelscan.deploy.reconcile import end, fail, finish, reconcile, stopped, unknown
from modelscan.deploy.session import Session
from modelscan.targets.base import Effects, NewDeployment, Target
from modelscan.targets.events import Planned, Planning, Running
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``changed`` is False when it already was as asked."""

    deployment: Deployment
    changed: bool


def deploy(session: Session, target: Target, new: NewDeployment) -> Outcome:
    """Bring a model to life under its name; asking the same again changes nothing.

    Raises NotDeployableError (it does not fit), UsageError (the name is taken by another model),
    StartFailed (the engine failed: its own reason), KeyboardInterrupt after undoing everything.
    """
    request, before = new.request, refreshed_row(session, new.name)
    if before is not None and request.is_like(before.request):
        outcome = _again(session, before, request)
        if outcome is not None:
            return outcome
    _refuse_replacing(before, request)
    if request.route:
        routes.check_free(session.routing_file, new.name)
    if before is not None:
        new = replace(new, created_at=before.created_at)
        if before.state in ACTIVE_STATES:
            _check_replacement(session, target, new)
            _end(session, before)
    with undone_by_interrupt(session, new.name, before):
        session.events(Planning(new.name, new.subject.id))
        proposed = _propose(session, target, new, before)
        session.events(
            Planned(new.name, proposed.backend, proposed.quantization, proposed.port)
        )  # fmt: skip
        return _run(session, proposed, request.wait, request.timeout_s)


def _again(session: Session, before: Deployment, request: Request) -> Outcome | None:
    """The answer to a request that was made before; None where it is to be planned again."""
    if before.drift:  # put back what was changed at the target
        return _run(session, before, request.wait, request.timeout_s)
    if before.state is State.RUNNING and not (request.replace and _hangs(before)):
        return Outcome(_answering(before), changed=False)
    if before.state is not State.STARTING:
        return None
    if not request.wait:
        return Outcome(before, changed=False)
    with undone_by_interrupt(session, before.name, None):
        return Outcome(_wait_until_ready(session, before, request.timeout_s), changed=True)


def start(session: Session, name: str, *, wait: bool, timeout_s: float) -> Outcome:
    """Start a stopped or failed deployment as it was; nothing to do when it runs."""
    deployment = known_row(session, name)
    if deployment.state is State.RUNNING:
        return Outcome(_answering(deployment), changed=False)
    if deployment.launch is None and deployment.remote is None:
        raise UsageError(
            f"{name} was never planned to its end, so there is nothing to start again",
            hint=f"modelscan deploy {deployment.model} --name {name}",
        )
    if deployment.route:
        routes.check_free(session.routing_file, deployment.route)
    with undone_by_interrupt(session, name, deployment):
        if deployment.state is not State.STARTING:
            return _run(session, deployment, wait, timeout_s)
        if not wait:
            return Outcome(deployment, changed=False)
        return Outcome(_wait_until_ready(session, deployment, timeout_s), changed=True)


def stop(session: Session, name: str, *, drain_s: float) -> Outcome:
    """End a deployment and keep it: no process, route disabled, ``start`` brings it back.

    Raises ModelscanError for a routing file that cannot be edited, after the engine is gone.
    """
    deployment = known_row(session, name)
    if deployment.state is State.STOPPED and not deployment.drift:
        return Outcome(deployment, changed=False)
    ended = _end(session, deployment, drain_s)
    if ended.routed and (problem := routes.withdraw(session.routing_file, ended)):
        raise routes.route_not_removed(ended, "stopped", problem)
    return Outcome(ended, changed=True)


def remove(session: Session, name: str, *, drain_s: float) -> Deployment:
    """End a deployment and forget it: process, route, log, row."""
    deployment = known_row(session, name)
    if deployment.state in ACTIVE_STATES or deployment.drift:
        deployment = _end(session, deployment, drain_s)
    problem = _forget(session, deployment)
    if problem is not None:
        raise routes.route_not_removed(deployment, "removed", problem)
    return deployment


def refreshed_row(session: Session, name: str) -> Deployment | None:
    """The row as reality says it is; None where there is none."""
    deployment = session.store.get(name)
    return None if deployment is None else reconcile(deployment, session)


def known_row(session: Session, name: str) -> Deployment:
    """The row as reality says it is; raises UsageError for an unknown name."""
    deployment = refreshed_row(session, name)
    if deployment is None:
        raise unknown(name, sorted(session.store.names()))
    return deployment


def _hangs(deployment: Deployment) -> bool:
    return deployment.health == "unhealthy"


def _answering(deployment: Deployment) -> Deployment:
    """That it runs is no good answer where it hangs; raises RemoteError then."""
    if _hangs(deployment):
        name, why = deployment.name, f": {deployment.reason}" if deployment.reason else ""
        raise RemoteError(
            f"{name} is running but does not answer at {deployment.endpoint}{why}",
            hint=f"modelscan stop {name} && modelscan start {name}",
            code="unhealthy",
        )
    return deployment


def _refuse_replacing(before: Deployment | None, request: Request) -> None:
    if before is None or request.replace or before.state not in (State.RUNNING, State.STARTING):
        return
    raise UsageError(
        f"{before.name} is {before.state.value} with another model or other options "
        f"({before.model}, {before.backend}, {before.quantization or 'unknown quantization'})",
        hint=f"modelscan deploy {request.model} --name ANOTHER_NAME, or --replace to replace it",
        code="name_taken",
        details={"name": before.name, "state": before.state.value},
    )


def no_save(_: Deployment) -> None:
    """A preview is not remembered."""


def _check_replacement(session: Session, target: Target, new: NewDeployment) -> None:
    """A wrong option must not cost the deployment that runs. That it does not fit beside the old
    one proves nothing: the old one's memory will be free."""
    with contextlib.suppress(NotDeployableError):
        target.propose(new, Effects(no_save, session.events, session.now))


def _propose(
    session: Session, target: Target, new: NewDeployment, before: Deployment | None
) -> Deployment:
    """What could not be planned or fetched leaves the record as it was."""
    try:
        return target.propose(new, session.effects)
    except ModelscanError:
        _undo(session, new.name, before)
        raise


def _run(session: Session, deployment: Deployment, wait: bool, timeout_s: float) -> Outcome:
    try:
        started = session.target(deployment).start(deployment, session.effects)
    except ModelscanError as error:
        _fail(session, deployment, error)
        raise
    if not wait:
        return Outcome(started, changed=True)
    return Outcome(_wait_until_ready(session, started, timeout_s), changed=True)


def _wait_until_ready(session: Session, deployment: Deployment, timeout_s: float) -> Deployment:
    target = session.target(deployment)
    try:
        running = target.wait_until_ready(deployment, timeout_s, session.effects)
    except AuthError:
        raise  # the key is not here: no reason to end the engine
    except ModelscanError as error:
        _fail(session, deployment, error)
        raise
    running = finish(running, session)
    session.events(Running(running.name, running.endpoint))
    return running


def _fail(session: Session, deployment: Deployment, error: ModelscanError) -> None:
    now = session.store.get(deployment.name) or deployment  # it may have moved to another port
    fail(now, session, error)


def _end(session: Session, deployment: Deployment, drain_s: float = DRAIN_S) -> Deployment:
    session.save(replace(deployment, state=State.STOPPING))
    return end(deployment, session, drain_s=drain_s)


def _forget(session: Session, deployment: Deployment) -> ModelscanError | None:
    problem = routes.forget(session.routing_file, deployment)
    session.target(deployment).remove(deployment)
    session.store.delete(deployment.name)
    return problem


@contextlib.contextmanager
def undone_by_interrupt(session: Session, name: str, before: Deployment | None) -> Iterator[None]:
    """Ctrl-C: end what was started and put the row back to what it was before."""
    try:
        yield
    except KeyboardInterrupt:
        with session.shield():
            _undo(session, name, before)
        raise


def _undo(session: Session, name: str, before: Deployment | None) -> None:
    """End what was started and put the row back; what ran before is stopped by now."""
    now = session.store.get(name)
    if now is None:
        return
    if before is None:
        session.target(now).stop(now, drain_s=0)
        _forget(session, now)
        return
    end(now, session)
    kept = before if before.state not in ACTIVE_STATES else stopped(before, session)
    session.save(kept)
