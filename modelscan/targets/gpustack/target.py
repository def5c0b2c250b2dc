"""A GPUStack cluster as a target: a plan for its workers, a verified model on its server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import ClusterRecord, Deployment
from modelscan.core.deployment_state import Health, State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, NotDeployableError, RemoteError
from modelscan.core.evaluation import Evaluation
from modelscan.core.jsonform import to_json
from modelscan.core.launch import ClusterLaunch
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.state.targets import TargetConfig
from modelscan.targets.base import (
    Controls,
    Effects,
    NewDeployment,
    Observation,
    RequestPreview,
    as_recorded,
)
from modelscan.targets.events import RequestsCut
from modelscan.targets.gpustack import follow
from modelscan.targets.gpustack import model as remote
from modelscan.targets.gpustack import plan as planning
from modelscan.targets.gpustack.body import resolved_env
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.drain import drain
from modelscan.targets.gpustack.drift import changed, describe, snapshot
from modelscan.targets.gpustack.engine_log import LogKeeper
from modelscan.targets.gpustack.evaluate import evaluate
from modelscan.targets.gpustack.follow import Patience
from modelscan.targets.gpustack.logs import without_environment
from modelscan.targets.gpustack.start_failure import cause_of
from modelscan.targets.gpustack.states import Status, status
from modelscan.targets.gpustack.types import RemoteModel, parse_model
from modelscan.targets.request import Request

_OBSERVE_TIMEOUT_S = 5.0
_LOG_LINES = 1000
_LATE_S = 1.0  # a create that was interrupted may still arrive
_ENVIRONMENT_LINES = 200  # requested in addition, then dropped


class GpuStackTarget:
    """See ``targets.base.Target``."""

    route_type = "gpustack"
    controls: Controls = "server"

    def __init__(
        self, config: Config, target: TargetConfig, patience: Patience = Patience()
    ) -> None:
        self._config = config
        self._target = target
        self._patience = patience

    def client(self, timeout_s: float | None = None, *, attempts: int = 4) -> Client:
        """A connection to the server. Raises AuthError if the reference to the key is empty."""
        return Client(
            Connection(
                name=self._target.name,
                url=self._target.url,
                api_key=self._target.api_key,
                ca_file=self._target.ca_file,
                timeout_s=timeout_s or self._config.http_timeout_s,
                offline=self._config.offline,
                attempts=attempts,
            )
        )

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        name, request = new.name, new.request
        marker = _marker(self._recorded(name)) or planning.marker_for(
            name, self._target, self._config
        )
        with self.client() as client:
            remote.check_free(client, name, marker, take_over=request.replace)
            remote.check_scope(client)
            proposal = planning.propose(
                client, self._target, name, new.subject, request, marker
            )  # fmt: skip
            evaluation = evaluate(client, proposal.body, proposal.cluster_id)
            management = client.dialect.management
        self._reject_if_incompatible(evaluation, proposal, request)
        launch = ClusterLaunch(proposal.body, marker, management, take_over=request.replace)
        deployment = self._describe(new, proposal, effects.now())
        deployment = replace(
            deployment, launch=launch, remote=ClusterRecord(evaluation=evaluation)
        )  # fmt: skip
        effects.save(deployment)
        return deployment

    def _describe(self, new: NewDeployment, proposal: planning.Proposal, now: str) -> Deployment:
        plan = planning.with_recipe_reason(proposal)
        return Deployment(
            name=new.name,
            model=new.subject.id,
            target=self._target.name,
            backend=plan.backend,
            quantization=plan.quantization,
            state=State.PENDING,
            endpoint=self._target.url,
            context_tokens=plan.context_tokens,
            gpus=plan.gpus,
            created_at=new.created_at,
            updated_at=now,
            served_model=new.name,
            task=plan.task,
            api_key=self._target.api_key,
            plan=plan,
            request=new.request.record(),
            route=new.name if new.request.route else None,
        )

    def _recorded(self, name: str) -> Deployment | None:
        """The recorded deployment of that name on this server: its model keeps its marker."""
        if not self._config.paths.store_file.exists():
            return None
        with Store.open(self._config.paths.store_file) as store:
            row = store.get(name)
        return row if row is not None and row.target == self._target.name else None

    def _reject_if_incompatible(
        self, evaluation: Evaluation | None, proposal: planning.Proposal, request: Request
    ) -> None:
        """Raises if the server rejects the model, unless it could not evaluate it or
        ``--force`` is set.
        """
        if evaluation is None or evaluation.compatible or not evaluation.decided:
            return
        if request.dry_run or request.workload.force:
            return
        reasons = "; ".join(evaluation.messages) or "it gives no reason"
        raise NotDeployableError(
            f"{self._target.name}'s own evaluation rejects what our plan says fits "
            f"({planning.in_words(proposal.plan)}): {reasons}",
            hint="add --dry-run to see the request, or --force to send it anyway",
            code="evaluation_refused", details={"evaluation": to_json(evaluation)},
        )  # fmt: skip

    def preview(self, deployment: Deployment) -> RequestPreview:
        launch = launch_of(deployment)
        management = launch.management
        if management is None:
            with self.client() as client:
                management = client.dialect.management
        url = f"{self._target.url}{management}/models"
        return RequestPreview(url, launch.body, record_of(deployment).evaluation)

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        launch, record = launch_of(deployment), record_of(deployment)
        started = replace(
            deployment, state=State.STARTING, reason=None, end_cause=None, health=None,
            routed=False, measured=None, started_at=None, drift=(), endpoint=self._target.url,
        )  # fmt: skip
        effects.save(started)
        with self.client() as client:
            # What was added on the server meanwhile is taken back as well.
            empty = {k: v for k, v in record.row.items() if v in (None, [], {})}
            body = {**empty, **launch.body}
            body |= resolved_env(body)
            model = remote.ensure(client, body, launch.marker, take_over=launch.take_over)
        record = replace(record, model_id=model.id, row=snapshot(model.raw), log=None)
        started = replace(started, remote=record)
        effects.save(started)
        return started

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        deadline = time.monotonic() + timeout_s
        patience = self._patience
        with self.client() as client:
            model = self._model(client, deployment, deadline)
            try:
                note = follow.until_running(
                    client, model.id, deployment, deadline, effects, patience
                )
                follow.verify(client, deployment, deadline, patience)
            except RemoteError as error:
                log = error.details.get("log") or _log_end(client, model.id, deployment)
                record = replace(record_of(deployment), log=tuple(log))
                effects.save(replace(deployment, remote=record))
                raise
            record = replace(
                record_of(deployment), model_id=model.id, log=None,
                row=self._snapshot(client, model.id, deployment),
                instances=tuple(map(follow.replica, remote.instances(client, model.id))),
            )  # fmt: skip
        return replace(
            deployment, state=State.RUNNING, health="ok", reason=note, end_cause=None,
            started_at=effects.now(), remote=record, endpoint=self._target.url,
        )  # fmt: skip

    def _snapshot(self, client: Client, model_id: int, deployment: Deployment) -> dict[str, Any]:
        """Fields that the server filled in while it started (a version, say), and those that
        were sent.
        """
        answer = client.get(f"models/{model_id}", what="read the model")
        row = snapshot(parse_model(answer).raw)
        body = launch_of(deployment).body
        before = record_of(deployment).row
        return row | {key: value for key, value in before.items() if key in body}

    def observe(self, deployment: Deployment) -> Observation:
        """An unreachable server changes only the health: unknown is not stopped."""
        if deployment.state in (State.STOPPED, State.FAILED):
            return self._ended(deployment)
        if deployment.state not in (State.STARTING, State.RUNNING, State.STOPPING):
            return as_recorded(deployment)
        try:
            with self.client(_OBSERVE_TIMEOUT_S, attempts=2) as client:
                model = remote.find(client, deployment.name, _marker(deployment))
                if model is None:
                    return self._deleted(deployment)
                current = status(model, remote.instances(client, model.id))
        except ModelscanError as error:
            reason = error.message
            if deployment.state is State.STOPPING:
                reason = f"whether it was stopped is unknown: {reason} ({_pending(deployment)})"
            return Observation(deployment.state, "unknown", reason=reason)
        if deployment.state is State.STOPPING:
            return _stopping(deployment, current)
        if current.state in (State.STOPPED, State.STOPPING):
            return Observation(
                State.STOPPED, reason=f"it was stopped on {self._target.name}",
                cause=EndCause.STOPPED_AT_TARGET,
            )  # fmt: skip
        if current.state is State.FAILED:
            cause = cause_of(current.code)
            return Observation(State.FAILED, reason=current.reason, cause=cause)
        if deployment.state is State.STARTING:
            ready = current.state is State.RUNNING
            return Observation(State.STARTING, reason=current.reason, ready=ready)
        drift, words = self._drift(deployment, model)
        health: Health = "ok" if current.state is State.RUNNING else "unhealthy"
        return Observation(
            State.RUNNING, health, words or current.reason, drift=drift, endpoint=self._target.url
        )

    def _ended(self, deployment: Deployment) -> Observation:
        """The state of a stopped deployment: it may have been started on the server, or its
        create arrived late.
        """
        as_it_was = as_recorded(deployment)
        if _marker(deployment) is None:
            return as_it_was
        try:
            with self.client(_OBSERVE_TIMEOUT_S, attempts=1) as client:
                model = remote.find(client, deployment.name, _marker(deployment))
                if model is None or model.replicas == 0:
                    return as_it_was
                if deployment.state is State.FAILED:  # the server may have restarted it by itself
                    current = status(model, remote.instances(client, model.id))
                    return replace(as_it_was, ready=current.state is State.RUNNING)
        except ModelscanError:
            return as_it_was
        name = deployment.name
        reason = f"it was started on {self._target.name} (modelscan start {name}, or stop {name})"
        return replace(as_it_was, reason=reason, drift=("replicas",))

    def _drift(
        self, deployment: Deployment, model: RemoteModel
    ) -> tuple[tuple[str, ...], str | None]:
        before = record_of(deployment).row
        fields = changed(before, model.raw)
        if not fields:
            return (), None
        what = describe(fields, before, model.raw)
        again = f"modelscan restart {deployment.name}"
        if deployment.request is not None and deployment.request.changed_at is None:
            again += ", or the same deploy again,"
        return fields, f"changed on {self._target.name}: {what} ({again} restores it)"

    def _deleted(self, deployment: Deployment) -> Observation:
        if deployment.state is State.STARTING and record_of(deployment).model_id is None:
            reason = "it was interrupted before the server had the model"
            return Observation(State.STOPPED, reason=reason, cause=EndCause.INTERRUPTED)
        reason = f"it was deleted on {self._target.name}"
        return Observation(State.STOPPED, reason=reason, cause=EndCause.DELETED_AT_TARGET)

    def check_stop(self, deployment: Deployment) -> None:
        with self.client() as client:
            remote.find(client, deployment.name, _marker(deployment))

    def check_start(self, deployment: Deployment) -> None:
        launch = launch_of(deployment)
        resolved_env(launch.body)
        with self.client() as client:
            remote.find(client, deployment.name, launch.marker)

    def interrupt(self, deployment: Deployment) -> None:
        self.stop(deployment, drain_s=0)

    def stop(self, deployment: Deployment, *, drain_s: float) -> RequestsCut | None:
        with self.client() as client:
            model = remote.find(client, deployment.name, _marker(deployment))
            if model is None:
                return None
            cut = drain(client, model, drain_s) if model.ready_replicas else None
            remote.stop(client, model, self._patience.gone_s)
            return cut

    def remove(self, deployment: Deployment) -> None:
        with self.client() as client:
            model = remote.find(client, deployment.name, _marker(deployment))
            if model is None and record_of(deployment).model_id is None:
                time.sleep(_LATE_S)
                model = remote.find(client, deployment.name, _marker(deployment))
            if model is not None:
                remote.delete(client, model)

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        """The first instance's log; after a failed start, the recorded lines; while it keeps
        restarting, the log of the attempt that shows why.
        """
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(self.client())
            model = remote.find(client, deployment.name, _marker(deployment))
            instances = remote.instances(client, model.id) if model else []
            if not instances:
                yield from self._kept_log(deployment, tail)
                return
            count = _LOG_LINES if tail is None else tail
            if not follow and instances[0].restart_count and instances[0].state != "running":
                kept = LogKeeper(client, instances[0].model_id, deployment.backend).final()
                yield from last(kept.lines, count)
                return
            more = count if follow else count + _ENVIRONMENT_LINES
            params = {"tail": more, "follow": str(follow).lower()}
            path = f"model-instances/{instances[0].id}/logs"
            silence_s = 86_400.0 if follow else 45.0
            lines = stack.enter_context(
                client.stream(path, what="read the log", params=params, silence_s=silence_s)
            )
            cleaned = without_environment(lines)
            yield from cleaned if follow else last(cleaned, count)

    def _kept_log(self, deployment: Deployment, tail: int | None) -> list[str]:
        lines = record_of(deployment).log
        if not lines:
            raise RemoteError(
                f"{deployment.name} has no instance at {self._target.name}, so there is no log",
                hint=f"modelscan start {deployment.name}", code="no_instance",
            )  # fmt: skip
        return last(lines, len(lines) if tail is None else tail)

    def _model(self, client: Client, deployment: Deployment, deadline: float) -> RemoteModel:
        """Our model; waits for an unreachable server. Raises RemoteError if the model does not
        exist.
        """
        while True:
            try:
                model = remote.find(client, deployment.name, _marker(deployment))
                break
            except RemoteError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
        if model is None:
            raise RemoteError(
                f"{self._target.name} has no model '{deployment.name}' created by this modelscan",
                hint=f"modelscan start {deployment.name}", code="not_found",
            )  # fmt: skip
        return model


def _log_end(client: Client, model_id: int, deployment: Deployment) -> list[str]:
    return LogKeeper(client, model_id, deployment.backend).final().excerpt()


def _stopping(deployment: Deployment, current: Status) -> Observation:
    """After a stop that was interrupted: the server says whether it was carried out."""
    if current.state in (State.STOPPED, State.STOPPING):
        ended = current.state is State.STOPPED
        reason = None if ended else "its instances have not ended yet"
        return Observation(current.state, reason=reason)
    was = State.STARTING if deployment.started_at is None else State.RUNNING
    return Observation(was, "ok" if current.state is State.RUNNING else "unhealthy")


def _pending(deployment: Deployment) -> str:
    name = deployment.name
    return f"modelscan stop {name} carries it out, modelscan start {name} cancels it"


def launch_of(deployment: Deployment) -> ClusterLaunch:
    """The create request; empty if the record lacks it."""
    launch = deployment.launch
    return launch if isinstance(launch, ClusterLaunch) else ClusterLaunch()


def record_of(deployment: Deployment) -> ClusterRecord:
    """The record of the server's side."""
    remote = deployment.remote
    return remote if isinstance(remote, ClusterRecord) else ClusterRecord()


def _marker(deployment: Deployment | None) -> str | None:
    return launch_of(deployment).marker if deployment else None


def last(lines: Iterable[str], count: int) -> list[str]:
    """The last ``count`` lines."""
    from collections import deque

    return list(deque(lines, maxlen=count))
