"""deploy, start, stop and remove of one deployment; the caller holds its lock.

A row is written *before* a process can start and updated *after* the new state was observed: when
a command is killed at any point, ``deploy.reconcile`` derives the state from what runs. See
docs/explanation/lifecycle.md.
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
from modelscan.core.verdict import Verdict
from modelscan.deploy import routes
from modelscan.deploy.reconcile import (
    BY_USER,
    HowEnded,
    Warn,
    end,
    fail,
    falling_asleep,
    finish,
    reconcile,
    stopped,
    unknown,
)
from modelscan.targets.base import Effects, NewDeployment, Target
from modelscan.targets.events import Planned, Planning, Running

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.session import Session
    from modelscan.targets.request import Request

DRAIN_S = 10.0
DOES_NOT_FIT = Verdict.DOES_NOT_FIT.value


@dataclass(frozen=True, slots=True)
class Outcome:
    """``changed`` is False when the deployment was in the requested state already."""

    deployment: Deployment
    changed: bool


def deploy(session: Session, target: Target, new: NewDeployment) -> Outcome:
    """Run a model under its name; a repeated request changes nothing.

    Raises NotDeployableError (it does not fit), UsageError (the name belongs to a deployment with
    another model or other options), StartFailed (the engine failed, with its reason),
    KeyboardInterrupt after every change was undone.
    """
    request, previous = new.request, refreshed_row(session, new.name)
    shared = previous is not None and request.shares_differently(previous.request)
    if previous is not None and shared:
        previous = with_swap_policy(session, previous, request)
    if previous is not None and request.is_like(previous.request):
        outcome = _repeat(session, previous, request)
        if outcome is not None:
            return replace(outcome, changed=outcome.changed or shared)
    _refuse_replacing(previous, request)
    if request.route:
        routes.check_free(session.routing_file, new.name)
    if previous is not None:
        new = replace(new, created_at=previous.created_at)
        if previous.state in ACTIVE_STATES:
            return replace_running(session, target, new, previous)
    return _deploy(session, target, new, previous)


def with_swap_policy(session: Session, row: Deployment, request: Request) -> Deployment:
    """The row with the request's pin, priority and group, which need no restart."""
    assert row.request is not None
    changed = replace(row, request=replace(row.request, swap=request.swap))
    session.save(changed)
    return changed


def replace_running(
    session: Session, target: Target, new: NewDeployment, previous: Deployment
) -> Outcome:
    """End a running deployment and run the new one under its name, once the new one has a plan."""
    _check_replacement(session, target, new)
    session.target(previous).check_stop(previous)
    end_or_restore(session, previous)
    return _deploy(session, target, new, previous)


def _deploy(
    session: Session, target: Target, new: NewDeployment, previous: Deployment | None
) -> Outcome:
    request = new.request
    with undone_by_interrupt(session, new.name, previous):
        session.events(Planning(new.name, new.subject.id))
        proposed = _propose(session, target, new, previous)
        session.events(
            Planned(new.name, proposed.backend, proposed.quantization, proposed.port)
        )  # fmt: skip
        return _run(session, proposed, request.wait, request.timeout_s)


def _repeat(session: Session, previous: Deployment, request: Request) -> Outcome | None:
    """The outcome of a repeated request; None where the model must be planned again."""
    if previous.drift:  # restore what was changed at the target
        return _run(session, previous, request.wait, request.timeout_s)
    if previous.state is State.RUNNING and not (request.replace and _hangs(previous)):
        return Outcome(_answering(previous), changed=False)
    if previous.state is not State.STARTING:
        return None
    if not request.wait:
        return Outcome(previous, changed=False)
    with undone_by_interrupt(session, previous.name, None):
        return Outcome(_wait_until_ready(session, previous, request.timeout_s), changed=True)


def start(session: Session, name: str, *, wait: bool, timeout_s: float) -> Outcome:
    """Start a stopped or failed deployment as planned; a running one is left as it is.

    Raises UsageError where it was never planned, StartFailed where the engine fails.
    """
    deployment = existing_row(session, name)
    if deployment.state is State.RUNNING:
        return Outcome(_answering(deployment), changed=False)
    _check_start(session, deployment)
    return _start(session, deployment, wait, timeout_s)


def restart(session: Session, name: str, *, drain_s: float, timeout_s: float) -> Outcome:
    """Stop a deployment and start it as planned; everything that a start needs is checked first.

    Raises AuthError, UsageError or ModelscanError, and leaves the running engine as it is, where a
    key, a file, a program, a port or its server is missing; else raises like ``start``.
    """
    deployment = existing_row(session, name)
    refuse_uncontrolled(session, deployment)
    _check_start(session, deployment)
    if deployment.state in ACTIVE_STATES or deployment.drift:
        session.target(deployment).check_stop(deployment)
        deployment = end_or_restore(session, deployment, drain_s)
    return _start(session, deployment, True, timeout_s)


def require_plan(deployment: Deployment) -> None:
    """Raises UsageError for a deployment that was never planned completely."""
    name = deployment.name
    if deployment.launch is None and deployment.remote is None:
        raise UsageError(
            f"the deployment {name} has no complete plan, so it cannot be started",
            hint=f"modelscan deploy {deployment.model} --name {name}",
        )


def _check_start(session: Session, deployment: Deployment) -> None:
    require_plan(deployment)
    if deployment.route:
        routes.check_free(session.routing_file, deployment.route)
    session.target(deployment).check_start(deployment)


def _start(session: Session, deployment: Deployment, wait: bool, timeout_s: float) -> Outcome:
    name = deployment.name
    if deployment.state is State.STOPPING and session.target(deployment).controls == "processes":
        deployment = end(deployment, session)  # it is ending; a server's is kept
    with undone_by_interrupt(session, name, deployment):
        if deployment.state is not State.STARTING:
            return _run(session, deployment, wait, timeout_s)
        if not wait:
            return Outcome(deployment, changed=False)
        return Outcome(_wait_until_ready(session, deployment, timeout_s), changed=True)


def stop(session: Session, name: str, *, drain_s: float, warn: Warn | None = None) -> Outcome:
    """End the engine and keep the deployment: route disabled, row kept for ``start``.

    ``drain_s``: seconds for running requests; what is cut then is an event. A stop that is refused
    (by a server, or because modelscan does not control the process) changes nothing. A routing
    file that cannot be edited is an error after the engine has ended; with ``warn``, a warning.
    """
    deployment = existing_row(session, name)
    refuse_uncontrolled(session, deployment)
    if deployment.state is State.STOPPED and not deployment.drift and not deployment.asleep:
        return Outcome(deployment, changed=False)
    session.target(deployment).check_stop(deployment)
    ended = end_or_restore(session, deployment, drain_s)
    if ended.routed and (problem := routes.disable(session.routing_file, ended)):
        _report(routes.route_not_removed(ended, "stopped", problem), warn)
    return Outcome(ended, changed=True)


def remove(session: Session, name: str, *, drain_s: float, warn: Warn | None = None) -> Deployment:
    """End the engine and delete route, log and row; raises and warns like ``stop``."""
    deployment = existing_row(session, name)
    if deployment.state in ACTIVE_STATES or deployment.drift:
        session.target(deployment).check_stop(deployment)
        deployment = end_or_restore(session, deployment, drain_s)
    problem = _delete(session, deployment)
    if problem is not None:
        _report(routes.route_not_removed(deployment, "removed", problem), warn)
    return deployment


def _report(error: ModelscanError, warn: Warn | None) -> None:
    if warn is None:
        raise error
    warn(f"{error.message}; {error.hint}")


def refreshed_row(session: Session, name: str) -> Deployment | None:
    """The reconciled row; None for an unknown name."""
    deployment = session.store.get(name)
    return None if deployment is None else reconcile(deployment, session)


def existing_row(session: Session, name: str) -> Deployment:
    """The reconciled row; raises UsageError for an unknown name."""
    deployment = refreshed_row(session, name)
    if deployment is None:
        raise unknown(name, sorted(session.store.names()))
    return deployment


def _hangs(deployment: Deployment) -> bool:
    return deployment.health == "unhealthy"


def _answering(deployment: Deployment) -> Deployment:
    """The deployment; raises RemoteError where it runs but does not answer."""
    if _hangs(deployment):
        name, why = deployment.name, f": {deployment.reason}" if deployment.reason else ""
        raise RemoteError(
            f"{name} is running but does not answer at {deployment.endpoint}{why}",
            hint=f"modelscan stop {name} && modelscan start {name}",
            code="unhealthy",
        )
    return deployment


def _refuse_replacing(previous: Deployment | None, request: Request) -> None:
    if previous is None or request.replace or previous.state not in (State.RUNNING, State.STARTING):
        return
    raise UsageError(
        f"{previous.name} is {previous.state.value} with another model or other options "
        f"({previous.model}, {previous.backend}, "
        f"{previous.quantization or 'unknown quantization'})",
        hint=f"modelscan deploy {request.model} --name ANOTHER_NAME, or --replace to replace it",
        code="name_taken",
        details={"name": previous.name, "state": previous.state.value},
    )


def no_save(_: Deployment) -> None:
    """For previews, which are not stored."""


def _check_replacement(session: Session, target: Target, new: NewDeployment) -> None:
    """Plan the replacement before the running deployment is ended, so that a wrong option does not
    end it. A plan without enough memory is no error here: the old deployment's becomes free."""
    try:
        target.propose(new, Effects(no_save, session.events, session.now))
    except NotDeployableError as error:
        if error.code != DOES_NOT_FIT:
            raise


def _propose(
    session: Session, target: Target, new: NewDeployment, previous: Deployment | None
) -> Deployment:
    """Plan and fetch; on an error the previous row is restored."""
    try:
        return target.propose(new, session.effects)
    except ModelscanError:
        _undo(session, new.name, previous)
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
        raise  # this command lacks the key; the engine itself may be ready
    except ModelscanError as error:
        _fail(session, deployment, error)
        raise
    try:
        running = finish(running, session)
    except ModelscanError as error:
        raise routes.not_published(running, error) from error
    session.events(Running(running.name, running.endpoint))
    return running


def _fail(session: Session, deployment: Deployment, error: ModelscanError) -> None:
    row = session.store.get(deployment.name) or deployment  # its port may have changed
    fail(row, session, error)


def end_or_restore(
    session: Session, deployment: Deployment, drain_s: float = DRAIN_S, ending: HowEnded = BY_USER
) -> Deployment:
    """Stop it; if that is refused or interrupted, the row and the route say what runs."""
    stopping, ending = falling_asleep(deployment, session, ending)
    session.save(stopping)
    try:
        return end(stopping, session, ending, drain_s=drain_s)
    except (ModelscanError, KeyboardInterrupt):
        with session.shield(), contextlib.suppress(ModelscanError):
            reconcile(stopping, session)
        raise


def refuse_uncontrolled(session: Session, deployment: Deployment) -> None:
    """Raises UsageError where modelscan does not control the process."""
    if session.target(deployment).controls != "nothing":
        return
    name = deployment.name
    raise UsageError(
        f"{name} was not started by modelscan, so modelscan cannot stop or restart it "
        f"({deployment.endpoint})",
        hint=f"modelscan remove {name}   (deletes only its record and its route)",
        code="not_controlled",
    )


def _delete(session: Session, deployment: Deployment) -> ModelscanError | None:
    session.target(deployment).remove(deployment)
    problem = routes.delete(session.routing_file, deployment)
    session.store.delete(deployment.name)
    return problem


@contextlib.contextmanager
def undone_by_interrupt(session: Session, name: str, previous: Deployment | None) -> Iterator[None]:
    """On Ctrl-C, end the engine that was started and restore the previous row."""
    try:
        yield
    except KeyboardInterrupt:
        with session.shield():
            _undo(session, name, previous)
        raise


def _undo(session: Session, name: str, previous: Deployment | None) -> None:
    """End the engine and restore the previous row, as stopped where its engine was ended."""
    row = session.store.get(name)
    if row is None:
        return
    if previous is None:
        session.target(row).stop(row, drain_s=0)
        _delete(session, row)
        return
    end(row, session)
    restored = previous if previous.state not in ACTIVE_STATES else stopped(previous, session)
    session.save(restored)
