"""The service that owns deployments: settings, records and clock in one object, no global state.

Every method opens its own database connection and acquires the deployment's lock, which holds
between processes and threads: one object may be used from several threads. It handles no signals;
a caller that does passes a ``shield``, a context in which a clean-up is not interrupted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.deployment_name import check_name, derive_name
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.deploy import lifecycle, routes
from modelscan.deploy.lifecycle import DRAIN_S, Outcome, no_save
from modelscan.deploy.reconcile import Warn, no_warnings, observed, refreshed, unknown
from modelscan.deploy.session import FindTarget, Session, Shield
from modelscan.models.resolve import load_deployable
from modelscan.state.clock import now_text
from modelscan.state.locks import hold
from modelscan.state.secrets import redact
from modelscan.state.store import Store, deployment_lock
from modelscan.targets.base import Clock, Effects, NewDeployment, Preview
from modelscan.targets.events import Events, no_events
from modelscan.targets.local.recover import find_lost
from modelscan.targets.registry import find_target
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.route import Route
    from modelscan.deploy.update import Change
    from modelscan.state.config import Config

_STOP_LOCK_S = 15.0
_LOCK_S = 30.0
# Causes after which ``service run`` starts a deployment at the next boot.
_INTERRUPTED_CAUSES = (EndCause.MACHINE_RESTARTED, EndCause.TOLD_TO_STOP)


class Deployments:
    """The deployments of this machine and of the configured servers."""

    def __init__(
        self,
        config: Config,
        *,
        now: Clock = now_text,
        find: FindTarget = find_target,
        shield: Shield = contextlib.nullcontext,
    ) -> None:
        self.config = config
        self._now = now
        self._find = find
        self._shield = shield

    def preview(self, request: Request) -> Deployment:
        """The deployment that ``deploy`` would make; writes and starts nothing."""
        new = self._new(request)
        effects = Effects(no_save, now=self._now)
        return self._find(request.target, self.config).propose(new, effects)

    def launch_preview(self, deployment: Deployment) -> Preview:
        """The process that ``start`` would run or the request it would send, without secrets."""
        return self._find(deployment.target, self.config).preview(deployment)

    def deploy(self, request: Request, events: Events = no_events) -> Outcome:
        """Run a model under its name; raises what ``lifecycle.deploy`` raises."""
        # First, so that a model that cannot be deployed is refused without a request to a server.
        new = self._new(request)
        target = self._find(request.target, self.config)
        with self.session(new.name, request.timeout_s, events) as session:
            return lifecycle.deploy(session, target, new)

    def start(
        self, name: str, *, wait: bool = True, timeout_s: float | None = None,
        events: Events = no_events,
    ) -> Outcome:  # fmt: skip
        """Start a stopped or failed deployment as planned; a running one is left as it is.

        ``timeout_s``: seconds to wait until it is ready. Raises StartFailed when it is not.
        """
        limit_s = self.start_timeout_s if timeout_s is None else timeout_s
        with self.session(name, limit_s, events) as session:
            return lifecycle.start(session, name, wait=wait, timeout_s=limit_s)

    def stop(
        self, name: str, *, drain_s: float = DRAIN_S, events: Events = no_events,
        warn: Warn | None = None,
    ) -> Outcome:  # fmt: skip
        """End the engine and keep the deployment; running requests have ``drain_s`` seconds.

        ``events`` receives RequestsCut where some were cut. A refused stop changes nothing.
        ``warn`` receives a routing file that cannot be edited; without it that is an error.
        """
        self._interrupt_start(name)
        with self.session(name, _STOP_LOCK_S, events) as session:
            return lifecycle.stop(session, name, drain_s=drain_s, warn=warn)

    def sleep(
        self, name: str, *, by: str | None = None, drain_s: float = DRAIN_S,
        only_idle: bool = False, events: Events = no_events,
    ) -> Outcome:  # fmt: skip
        """End the engine; a request through the gateway starts it again.

        ``by``: the deployment that it makes room for; None: a user's wish. ``only_idle``: not where
        requests still run after ``drain_s`` seconds; then ``Outcome.changed`` is False.
        """
        from modelscan.deploy import sleep

        ending = sleep.PUT_TO_SLEEP if by is None else sleep.swapped(by)
        if by is None:
            self._interrupt_start(name)
        with self.session(name, _STOP_LOCK_S, events) as session:
            return sleep.sleep(session, name, ending, drain_s=drain_s, only_idle=only_idle)

    def restart(
        self, name: str, *, drain_s: float = DRAIN_S, timeout_s: float | None = None,
        events: Events = no_events,
    ) -> Outcome:  # fmt: skip
        """Stop a deployment and start it as planned; what a start needs is checked first.

        Raises AuthError, UsageError or NotDeployableError with the engine untouched, else
        StartFailed.
        """
        limit_s = self.start_timeout_s if timeout_s is None else timeout_s
        self._interrupt_start(name)
        with self.session(name, _STOP_LOCK_S, events) as session:
            return lifecycle.restart(session, name, drain_s=drain_s, timeout_s=limit_s)

    def remove(
        self, name: str, *, drain_s: float = DRAIN_S, events: Events = no_events,
        warn: Warn | None = None,
    ) -> Deployment:  # fmt: skip
        """End the engine and delete the deployment: process, route, log, row; like ``stop``."""
        self._interrupt_start(name)
        with self.session(name, _STOP_LOCK_S, events) as session:
            return lifecycle.remove(session, name, drain_s=drain_s, warn=warn)

    def update(
        self, name: str, change: Change, *, timeout_s: float | None = None,
        events: Events = no_events,
    ) -> Deployment:  # fmt: skip
        """Change replicas or options of a cluster deployment and verify it; a change that fails is
        taken back. Raises UsageError for a deployment of this machine, RemoteError for a failure.
        """
        from modelscan.deploy import update

        limit_s = self.start_timeout_s if timeout_s is None else timeout_s
        with self.session(name, _LOCK_S, events) as session:
            return update.apply(session, name, change, limit_s)

    def change(
        self, name: str, edit: Callable[[Request], Request], events: Events = no_events
    ) -> Outcome:
        """Run a deployment of this machine with other options; rolled back where it fails.

        ``edit`` changes the request that made it. Raises what ``deploy`` raises.
        """
        from modelscan.deploy import change

        new = self._new(edit(change.request_of(self.recorded(name))))
        target = self._find(new.request.target, self.config)
        with self.session(name, new.request.timeout_s, events) as session:
            return change.apply(session, target, new)

    def upgrade(
        self, name: str, *, timeout_s: float | None = None, events: Events = no_events
    ) -> Outcome:
        """Download newer weights, restart with them, verify; rolled back where it fails.

        Raises UsageError where the weights come from no hub, RemoteError where it does not answer.
        """
        from modelscan.deploy import change

        limit_s = self.start_timeout_s if timeout_s is None else timeout_s
        row = self.show(name)
        if change.fetch_newest(row, self.config) is None:
            return Outcome(row, changed=False)
        new = self._new(replace(change.request_of(row), timeout_s=limit_s))
        target = self._find(new.request.target, self.config)
        with self.session(name, limit_s, events) as session:
            return change.apply(session, target, new, force=True)

    def wake(self, name: str, events: Events = no_events) -> Outcome:
        """Start a deployment that is asleep; a running one is left as it is.

        Of several callers at once the first starts it, the others wait for the deployment's lock.
        Raises UsageError for one that a user stopped or that failed by itself, StartFailed when it
        does not become ready.
        """
        row = self.show(name)
        if row.state not in (State.RUNNING, State.STARTING) and not row.asleep:
            raise UsageError(
                f"{name} is {row.state.value}" + (f": {row.reason}" if row.reason else ""),
                hint=f"modelscan start {name}",
                code="not_asleep",
            )
        return self.start(name, events=events)

    def list(self, warn: Warn = no_warnings) -> tuple[Deployment, ...]:
        """Every deployment in its present state, by name; ``warn`` receives what could not be read
        or written."""
        paths = self.config.paths
        if not paths.store_file.exists() and not paths.deployments_dir.exists():
            return ()
        with self._reading() as session:
            rows = session.store.all()
            if find_lost(self.config, session.store.names(), session.store):
                rows = session.store.all()
            for note in session.store.notes:
                warn(note)
            return observed(rows, session, warn)

    def show(self, name: str, warn: Warn = no_warnings) -> Deployment:
        """The deployment in its present state; raises UsageError for an unknown name, NewerRecord
        for a row that a later release wrote."""
        row = self.recorded(name, warn)
        with self._reading() as session:
            return refreshed(row, session, warn=warn)

    def recorded(self, name: str, warn: Warn = no_warnings) -> Deployment:
        """The stored row, without asking the target; raises like ``show``."""
        if not self.config.paths.store_file.exists():
            raise unknown(name, ())
        with Store.open(self.config.paths.store_file) as store:
            row = store.get(name)
            if row is None:
                raise unknown(name, sorted(store.names()))
            for note in store.notes:
                warn(note)
            return row

    def logs(self, name: str, *, tail: int | None = None, follow: bool = False) -> Iterator[str]:
        """The lines of the engine's log; what looks like a credential is redacted.

        ``tail``: only the last lines. ``follow``: until the engine ends.
        """
        row = self.recorded(name)
        lines = self._find(row.target, self.config).logs(row, tail, follow)
        return (redact(line) for line in lines)

    def route_of(self, deployment: Deployment) -> Route | None:
        """The deployment's entry in the routing file; None where it has none."""
        kind = self._find(deployment.target, self.config).route_type
        return routes.route_of(deployment, kind)

    def interrupted(self) -> tuple[str, ...]:
        """The names of local deployments that a reboot or a signal ended, not ``stop``."""
        if not self.config.paths.store_file.exists():
            return ()
        with Store.open(self.config.paths.store_file) as store:
            return tuple(row.name for row in store.all() if self._was_running(row))

    @property
    def routing_file(self) -> Path:
        """The file with the routes, as configured."""
        return self.config.routing_file

    @property
    def start_timeout_s(self) -> float:
        """Seconds to wait until an engine is ready, where a request gives no timeout."""
        return self.config.start_timeout_s

    @contextlib.contextmanager
    def session(
        self, name: str, timeout_s: float = _LOCK_S, events: Events = no_events
    ) -> Iterator[Session]:
        """The lock of one deployment and an open store; raises ModelscanError (``locked``) after
        ``timeout_s`` seconds."""
        lock = deployment_lock(self.config.paths.locks_dir, name)
        with (
            hold(lock, timeout_s=timeout_s, what=f"deployment {name}"),
            Store.open(self.config.paths.store_file) as store,
        ):
            yield self._session(store, events)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Session]:
        with Store.open(self.config.paths.store_file) as store:
            yield self._session(store)

    def _session(self, store: Store, events: Events = no_events) -> Session:
        return Session(self.config, store, self._now, events, self._find, self._shield)

    def _new(self, request: Request) -> NewDeployment:
        request.check()
        subject = load_deployable(request.model, self.config, request.workload)
        if subject.registered is not None:  # an alias may move on: the record names the version
            request = replace(request, model=subject.registered)
        name = check_name(request.name or derive_name(subject.id))
        return NewDeployment(name, subject, request, self._now())

    def _was_running(self, row: Deployment) -> bool:
        if row.target != "local":
            return False
        if row.state in (State.RUNNING, State.STARTING):
            seen = self._find(row.target, self.config).observe(row)
            return seen.state not in (State.RUNNING, State.STARTING)
        return row.state is State.STOPPED and row.end_cause in _INTERRUPTED_CAUSES

    def _interrupt_start(self, name: str) -> None:
        """End the engine of a ``deploy`` that still waits for it, so that the lock is released."""
        lock = deployment_lock(self.config.paths.locks_dir, name)
        try:
            with hold(lock, timeout_s=0.2):
                return
        except ModelscanError as error:
            if error.code != "locked":
                raise
        with Store.open(self.config.paths.store_file) as store:
            deployment = store.get(name)
        if deployment is not None and deployment.state is State.STARTING:
            self._find(deployment.target, self.config).interrupt(deployment)
