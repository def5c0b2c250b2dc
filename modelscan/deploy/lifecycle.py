"""deploy, start, stop, remove: each takes the deployment's lock, acts, and verifies.

A row is written *before* anything can come to life and changed *after* what it says has been
seen, so that a command killed at any point leaves a state that ``deploy.reconcile`` can read
from reality. See docs/lifecycle.md.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.core.deployment import ACTIVE_STATES, Deployment, State
from modelscan.core.errors import (
    AuthError,
    ModelscanError,
    NotDeployableError,
    RemoteError,
    UsageError,
)
from modelscan.core.plan import ResolvedModel
from modelscan.deploy import routes
from modelscan.deploy.reconcile import end, fail, finish, reason_of, reconcile, stopped, unknown
from modelscan.models.resolve import load_deployable
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.store import Store, deployment_lock
from modelscan.targets.registry import Target, find_target
from modelscan.targets.request import Events, Request, check_name, derive_name, silent

DRAIN_S = 10.0
_STOP_LOCK_S = 15.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """``changed`` is False when it already was as asked."""

    deployment: Deployment
    changed: bool


@dataclass(slots=True)
class _Session:
    """What one command works with."""

    config: Config
    store: Store
    name: str

    def save(self, deployment: Deployment) -> None:
        self.store.put(replace(deployment, updated_at=now_text()))

    @property
    def routing_file(self) -> Path:
        return self.config.routing_file

    def target(self, deployment: Deployment) -> Target:
        return find_target(deployment.target, self.config)


def preview(request: Request, config: Config) -> Deployment:
    """``--dry-run``: the deployment as it would be; nothing is written or started."""
    request.check()
    subject = load_deployable(request.model, config, request.workload)
    name = check_name(request.name or derive_name(subject.id))
    target = find_target(request.target, config)
    return target.propose(name, subject, request, forget_it, now_text())


def forget_it(_: Deployment) -> None:
    """A preview is not remembered."""


def deploy(request: Request, config: Config, events: Events = silent) -> Outcome:
    """Bring MODEL to life under its name; asking the same again changes nothing.

    Raises NotDeployableError (it does not fit), UsageError (the name is taken by another model),
    RemoteError (the engine failed: its own reason), KeyboardInterrupt after undoing everything.
    """
    request.check()
    # Before its target: what cannot be deployed is refused without asking any server.
    subject = load_deployable(request.model, config, request.workload)
    target = find_target(request.target, config)
    name = check_name(request.name or derive_name(subject.id))
    with _working_on(name, config, request.timeout_s) as session:
        before = _refreshed(session)
        if before is not None and request.is_like(before.request):
            if before.drift:  # put back what somebody changed at the target
                return _run(session, before, request.wait, request.timeout_s, events)
            if before.state is State.RUNNING and not (request.replace and _hangs(before)):
                return Outcome(_answering(before), changed=False)
            if before.state is State.STARTING and not request.wait:
                return Outcome(before, changed=False)
            if before.state is State.STARTING:
                with _undone_by_interrupt(session, None):
                    return Outcome(_settle(session, before, request.timeout_s, events), True)
        _refuse_replacing(before, request)
        if request.route:
            routes.check_free(session.routing_file, name)
        if before is not None and before.state in ACTIVE_STATES:
            _check_replacement(target, name, subject, request, events)
            _end(session, before)
        with _undone_by_interrupt(session, before):
            events("planning", name=name, model=subject.id)
            proposed = _propose(session, target, subject, request, before, events)
            events("planned", name=name, backend=proposed.backend,
                   quantization=proposed.quantization, port=proposed.port)  # fmt: skip
            return _run(session, proposed, request.wait, request.timeout_s, events)


def start(name: str, config: Config, *, wait: bool, timeout_s: float, events: Events) -> Outcome:
    """Start a stopped or failed deployment as it was; nothing to do when it runs."""
    with _working_on(name, config, timeout_s) as session:
        deployment = _known(session)
        if deployment.state is State.RUNNING:
            return Outcome(_answering(deployment), changed=False)
        if deployment.launch is None and deployment.remote is None:
            raise UsageError(
                f"{name} was never planned to its end, so there is nothing to start again",
                hint=f"modelscan deploy {deployment.model} --name {name}",
            )
        if deployment.route:
            routes.check_free(session.routing_file, deployment.route)
        with _undone_by_interrupt(session, deployment):
            if deployment.state is State.STARTING and not wait:
                return Outcome(deployment, changed=False)
            if deployment.state is State.STARTING:
                return Outcome(_settle(session, deployment, timeout_s, events), True)
            return _run(session, deployment, wait, timeout_s, events)


def stop(name: str, config: Config, *, drain_s: float = DRAIN_S) -> Outcome:
    """End a deployment and keep it: no process, route disabled, ``start`` brings it back.

    A routing file that cannot be edited is told after the engine is gone, not instead of it.
    """
    _interrupt_start(name, config)
    with _working_on(name, config, _STOP_LOCK_S) as session:
        deployment = _known(session)
        if deployment.state is State.STOPPED and not deployment.drift:
            return Outcome(deployment, changed=False)
        ended = _end(session, deployment, drain_s)
        if ended.routed and (problem := routes.withdraw(session.routing_file, ended)):
            raise routes.stays(ended, "stopped", problem)
        return Outcome(ended, changed=True)


def remove(name: str, config: Config, *, drain_s: float = DRAIN_S) -> Deployment:
    """End a deployment and forget it: process, route, log, row."""
    _interrupt_start(name, config)
    with _working_on(name, config, _STOP_LOCK_S) as session:
        deployment = _known(session)
        if deployment.state in ACTIVE_STATES or deployment.drift:
            deployment = _end(session, deployment, drain_s)
        problem = _forget(session, deployment)
        if problem is not None:
            raise routes.stays(deployment, "removed", problem)
        return deployment


@contextlib.contextmanager
def _working_on(name: str, config: Config, timeout_s: float) -> Iterator[_Session]:
    lock = deployment_lock(config.paths.locks_dir, name)
    with (
        hold(lock, timeout_s=timeout_s, what=f"deployment {name}"),
        Store.open(config.paths.store_file) as store,
    ):
        yield _Session(config, store, name)


def _refreshed(session: _Session) -> Deployment | None:
    """The row as reality says it is."""
    deployment = session.store.get(session.name)
    if deployment is None:
        return None
    return reconcile(deployment, session.target(deployment), session.store, session.routing_file)


def _known(session: _Session) -> Deployment:
    deployment = _refreshed(session)
    if deployment is None:
        raise unknown(session.name, [one.name for one in session.store.all()])
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
        hint=f"modelscan deploy {request.model} --name ANOTHER_NAME, or --force to replace it",
        code="name_taken",
        details={"name": before.name, "state": before.state.value},
    )


def _check_replacement(
    target: Target, name: str, subject: ResolvedModel, request: Request, events: Events
) -> None:
    """A wrong option must not cost the deployment that runs. That it does not fit beside the old
    one proves nothing: the old one's memory will be free."""
    with contextlib.suppress(NotDeployableError):
        target.propose(name, subject, request, forget_it, now_text(), events)


def _propose(
    session: _Session,
    target: Target,
    subject: ResolvedModel,
    request: Request,
    before: Deployment | None,
    events: Events,
) -> Deployment:
    """What could not be planned or fetched leaves the record as it was."""
    created_at = before.created_at if before else now_text()
    try:
        return target.propose(session.name, subject, request, session.save, created_at, events)
    except ModelscanError:
        _undo(session, before)
        raise


def _run(
    session: _Session, deployment: Deployment, wait: bool, timeout_s: float, events: Events
) -> Outcome:
    try:
        started = session.target(deployment).start(deployment, session.save)
    except ModelscanError as error:
        _fail(session, deployment, error)
        raise
    if not wait:
        return Outcome(started, changed=True)
    return Outcome(_settle(session, started, timeout_s, events), changed=True)


def _settle(
    session: _Session, deployment: Deployment, timeout_s: float, events: Events
) -> Deployment:
    target = session.target(deployment)
    try:
        running = target.settle(deployment, session.save, timeout_s, events)
    except AuthError:
        raise  # the key is not here: no reason to end the engine
    except ModelscanError as error:
        _fail(session, deployment, error)
        raise
    running = finish(running, target, session.store, session.routing_file)
    events("running", name=running.name, endpoint=running.endpoint)
    return running


def _fail(session: _Session, deployment: Deployment, error: ModelscanError) -> None:
    deployment = session.store.get(session.name) or deployment  # it may have moved to another port
    target = session.target(deployment)
    fail(deployment, target, session.store, session.routing_file, reason_of(error))


def _end(session: _Session, deployment: Deployment, drain_s: float = DRAIN_S) -> Deployment:
    session.save(replace(deployment, state=State.STOPPING))
    target = session.target(deployment)
    return end(deployment, target, session.store, session.routing_file, drain_s=drain_s)


def _forget(session: _Session, deployment: Deployment) -> ModelscanError | None:
    problem = routes.forget(session.routing_file, deployment)
    session.target(deployment).remove(deployment)
    session.store.delete(deployment.name)
    return problem


def _interrupt_start(name: str, config: Config) -> None:
    """A ``deploy`` that waits for a slow start holds the lock: end its engine, and it lets go."""
    lock = deployment_lock(config.paths.locks_dir, name)
    try:
        with hold(lock, timeout_s=0.2):
            return
    except ModelscanError as error:
        if error.code != "locked":
            raise
    with Store.open(config.paths.store_file) as store:
        deployment = store.get(name)
    if deployment is not None and deployment.state is State.STARTING:
        find_target(deployment.target, config).interrupt(deployment)


@contextlib.contextmanager
def _undone_by_interrupt(session: _Session, before: Deployment | None) -> Iterator[None]:
    """Ctrl-C: end what was started and put the row back to what it was before."""
    try:
        yield
    except KeyboardInterrupt:
        with _undisturbed():
            _undo(session, before)
        raise


def _undo(session: _Session, before: Deployment | None) -> None:
    """End what was started and put the row back; what ran before is stopped by now."""
    now = session.store.get(session.name)
    if now is None:
        return
    target = session.target(now)
    if before is None:
        target.stop(now, drain_s=0)
        _forget(session, now)
        return
    end(now, target, session.store, session.routing_file)
    kept = before if before.state not in ACTIVE_STATES else stopped(before)
    session.save(kept)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not tear the clean-up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
