"""A GPUStack cluster as a target: a plan for its workers, a model on its server, verified."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, NotDeployableError, RemoteError
from modelscan.core.plan import ResolvedModel
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.state.targets import TargetConfig
from modelscan.targets.gpustack import follow
from modelscan.targets.gpustack import model as remote
from modelscan.targets.gpustack import plan as planning
from modelscan.targets.gpustack.body import resolved_env
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.drift import changed, describe, snapshot
from modelscan.targets.gpustack.evaluate import evaluate
from modelscan.targets.gpustack.logs import without_environment
from modelscan.targets.gpustack.states import status
from modelscan.targets.gpustack.types import RemoteModel
from modelscan.targets.registry import Observation, Save
from modelscan.targets.request import Events, Request, silent

_OBSERVE_TIMEOUT_S = 5.0
_LOG_LINES = 1000
_LATE_S = 1.0  # a create that was interrupted may still be on its way
_ENVIRONMENT_LINES = 200  # asked for on top: they are dropped


class GpuStackTarget:
    """See ``deploy.targets.Target``."""

    route_type = "gpustack"

    def __init__(self, config: Config, target: TargetConfig) -> None:
        self._config = config
        self._target = target

    def client(self, timeout_s: float | None = None, *, attempts: int = 4) -> Client:
        """A connection to the server; raises AuthError when the key's reference is empty."""
        return Client(
            Connection(
                name=self._target.name,
                url=self._target.url,
                api_key=self._target.api_key,
                ca_file=self._target.ca_file,
                timeout_s=timeout_s or self._config.number("http_timeout_s"),
                offline=self._config.offline,
                attempts=attempts,
            )
        )

    def propose(
        self,
        name: str,
        subject: ResolvedModel,
        request: Request,
        save: Save,
        now: str,
        events: Events = silent,
    ) -> Deployment:
        before = self._recorded(name)
        marker = _marker(before) or planning.marker_for(name, self._target, self._config)
        with self.client() as client:
            remote.check_free(client, name, marker, take_over=request.workload.force)
            remote.check_scope(client)
            proposal = planning.propose(client, self._target, name, subject, request, marker)
            evaluation = evaluate(client, proposal.body, proposal.cluster_id)
            management = client.dialect.management
        self._heed(evaluation, proposal, request)
        deployment = Deployment(
            name=name,
            model=subject.id,
            target=self._target.name,
            backend=proposal.plan.backend,
            quantization=proposal.plan.quantization,
            state=State.PENDING,
            endpoint=self._target.url,
            context_tokens=proposal.plan.context_tokens,
            gpus=proposal.plan.gpus,
            created_at=now,
            updated_at=now,
            served_model=name,
            task=proposal.plan.task,
            api_key=self._target.api_key,
            plan=planning.plan_json(proposal),
            request=request.fingerprint(),
            launch={
                "body": proposal.body,
                "marker": marker,
                "management": management,
                "take_over": request.workload.force,
            },
            remote={"model_id": None, "evaluation": evaluation},
            route=name if request.route else None,
        )
        save(deployment)
        return deployment

    def _recorded(self, name: str) -> Deployment | None:
        """What is on record under that name for this server: its model there keeps its marker."""
        if not self._config.paths.store_file.exists():
            return None
        with Store.open(self._config.paths.store_file) as store:
            row = store.get(name)
        return row if row is not None and row.target == self._target.name else None

    def _heed(
        self, evaluation: Mapping[str, Any] | None, proposal: planning.Proposal, request: Request
    ) -> None:
        """The server's own no ends a deploy, unless it could not judge or the user insists."""
        if evaluation is None or evaluation["compatible"] or not evaluation["decided"]:
            return
        if request.dry_run or request.workload.force:
            return
        said = "; ".join(evaluation["messages"]) or "it gives no reason"
        raise NotDeployableError(
            f"{self._target.name}'s own evaluation refuses what our plan says fits "
            f"({planning.in_words(proposal.plan)}): {said}",
            hint="add --dry-run to see what would be sent, or --force to send it nevertheless",
            code="evaluation_refused", details={"evaluation": dict(evaluation)},
        )  # fmt: skip

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        body = (deployment.launch or {})["body"]
        management = (deployment.launch or {}).get("management")
        if management is None:
            with self.client() as client:
                management = client.dialect.management
        url = f"{self._target.url}{management}/models"
        evaluation = (deployment.remote or {}).get("evaluation")
        return {"method": "POST", "url": url, "body": body, "evaluation": evaluation}

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        started = replace(
            deployment, state=State.STARTING, reason=None, health=None, routed=False,
            measured=None, started_at=None, drift=(), endpoint=self._target.url,
        )  # fmt: skip
        save(started)
        launch = deployment.launch or {}
        known = (deployment.remote or {}).get("row") or {}
        with self.client() as client:
            # What somebody added on the server is taken back as well.
            body = {**{k: v for k, v in known.items() if v in (None, [], {})}, **launch["body"]}
            body |= resolved_env(body)
            model = remote.ensure(
                client, body, launch.get("marker"), take_over=bool(launch.get("take_over"))
            )
        details = {"model_id": model.id, "row": snapshot(model.raw), "log": None}
        started = replace(started, remote={**(started.remote or {}), **details})
        save(started)
        return started

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        deadline = time.monotonic() + timeout_s
        with self.client() as client:
            model = self._model(client, deployment, deadline)
            try:
                note = follow.until_running(client, model.id, deployment, deadline, events)
                follow.verify(client, deployment, deadline)
            except RemoteError as error:
                log = error.details.get("log") or follow.log_tail(client, model.id)
                save(replace(deployment, remote={**(deployment.remote or {}), "log": log}))
                raise
            instances = remote.instances(client, model.id)
            row = self._snapshot(client, model.id, deployment)
        details = dict(deployment.remote or {}) | {"model_id": model.id, "log": None, "row": row}
        details["instances"] = [follow.instance_json(instance) for instance in instances]
        return replace(
            deployment, state=State.RUNNING, health="ok", reason=note, started_at=now_text(),
            remote=details, endpoint=self._target.url,
        )  # fmt: skip

    def _snapshot(self, client: Client, model_id: int, deployment: Deployment) -> dict[str, Any]:
        """What the server filled in while it started (a version, say), beside what was sent."""
        row = snapshot(client.get(f"models/{model_id}", what="read the model"))
        sent = (deployment.launch or {}).get("body") or {}
        before = (deployment.remote or {}).get("row") or {}
        return row | {key: value for key, value in before.items() if key in sent}

    def observe(self, deployment: Deployment) -> Observation:
        """An unreachable server changes nothing but the health: unknown is not stopped."""
        if deployment.state in (State.STOPPED, State.FAILED):
            return self._ended(deployment)
        if deployment.state not in (State.STARTING, State.RUNNING):
            return Observation(deployment.state, reason=deployment.reason)
        try:
            with self.client(_OBSERVE_TIMEOUT_S, attempts=2) as client:
                found = remote.find(client, deployment.name, _marker(deployment))
                if found is None:
                    return self._deleted(deployment)
                seen = status(found, remote.instances(client, found.id))
        except ModelscanError as error:
            return Observation(deployment.state, "unknown", reason=error.message)
        if seen.state in (State.STOPPED, State.STOPPING):
            return Observation(State.STOPPED, reason=f"it was stopped at {self._target.name}")
        if seen.state is State.FAILED:
            return Observation(State.FAILED, reason=seen.reason)
        if deployment.state is State.STARTING:
            ready = seen.state is State.RUNNING
            return Observation(State.STARTING, reason=seen.reason, ready=ready)
        drift, words = self._drift(deployment, found)
        health = "ok" if seen.state is State.RUNNING else "unhealthy"
        return Observation(
            State.RUNNING, health, words or seen.reason, drift=drift, endpoint=self._target.url
        )

    def _ended(self, deployment: Deployment) -> Observation:
        """What was ended here may have been started again there, or its create came late."""
        as_it_was = Observation(deployment.state, reason=deployment.reason)
        if _marker(deployment) is None:
            return as_it_was
        try:
            with self.client(_OBSERVE_TIMEOUT_S, attempts=1) as client:
                found = remote.find(client, deployment.name, _marker(deployment))
        except ModelscanError:
            return as_it_was
        if found is None or found.replicas == 0:
            return as_it_was
        name = deployment.name
        reason = f"it was started at {self._target.name} (modelscan start {name}, or stop {name})"
        return Observation(deployment.state, reason=reason, drift=("replicas",))

    def _drift(
        self, deployment: Deployment, found: RemoteModel
    ) -> tuple[tuple[str, ...], str | None]:
        before = (deployment.remote or {}).get("row") or {}
        fields = changed(before, found.raw)
        if not fields:
            return (), None
        what = describe(fields, before, found.raw)
        again = f"modelscan restart {deployment.name}"
        if "updated_at" not in (deployment.request or {"updated_at": None}):
            again += ", or the same deploy again,"
        return fields, f"changed at {self._target.name}: {what} ({again} puts it back)"

    def _deleted(self, deployment: Deployment) -> Observation:
        if deployment.state is State.STARTING and (deployment.remote or {}).get("model_id") is None:
            reason = "it was interrupted before the server had the model"
        else:
            reason = f"it was deleted at {self._target.name}"
        return Observation(State.STOPPED, reason=reason)

    def interrupt(self, deployment: Deployment) -> None:
        self.stop(deployment, drain_s=0)

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """GPUStack does not say what is in flight: the time to drain is waited in full."""
        with self.client() as client:
            found = remote.find(client, deployment.name, _marker(deployment))
            if found is None:
                return
            if drain_s > 0 and found.ready_replicas:
                time.sleep(drain_s)
            remote.stop(client, found)

    def remove(self, deployment: Deployment) -> None:
        with self.client() as client:
            found = remote.find(client, deployment.name, _marker(deployment))
            if found is None and (deployment.remote or {}).get("model_id") is None:
                time.sleep(_LATE_S)
                found = remote.find(client, deployment.name, _marker(deployment))
            if found is not None:
                remote.delete(client, found)

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        """The first instance's log; of a start that failed, what was kept of it."""
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(self.client())
            found = remote.find(client, deployment.name, _marker(deployment))
            instances = remote.instances(client, found.id) if found else []
            if not instances:
                yield from self._kept_log(deployment, tail)
                return
            wanted = _LOG_LINES if tail is None else tail
            more = wanted if follow else wanted + _ENVIRONMENT_LINES
            params = {"tail": more, "follow": str(follow).lower()}
            path = f"model-instances/{instances[0].id}/logs"
            silence_s = 86_400.0 if follow else 45.0
            lines = stack.enter_context(
                client.stream(path, what="read the log", params=params, silence_s=silence_s)
            )
            cleaned = without_environment(lines)
            yield from cleaned if follow else last(cleaned, wanted)

    def _kept_log(self, deployment: Deployment, tail: int | None) -> list[str]:
        kept = (deployment.remote or {}).get("log")
        if not kept:
            raise RemoteError(
                f"{deployment.name} has no instance at {self._target.name}, so there is no log",
                hint=f"modelscan start {deployment.name}", code="no_instance",
            )  # fmt: skip
        return last(kept, len(kept) if tail is None else tail)

    def _model(self, client: Client, deployment: Deployment, deadline: float) -> RemoteModel:
        """Our model; a server that is away is waited for. Raises RemoteError when it is gone."""
        while True:
            try:
                found = remote.find(client, deployment.name, _marker(deployment))
                break
            except RemoteError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1.0)
        if found is None:
            raise RemoteError(
                f"{self._target.name} has no model '{deployment.name}' of ours",
                hint=f"modelscan start {deployment.name}", code="not_found",
            )  # fmt: skip
        return found


def _marker(deployment: Deployment | None) -> str | None:
    return ((deployment.launch if deployment else None) or {}).get("marker")


def last(lines: Iterable[str], count: int) -> list[str]:
    """The last ``count`` of them."""
    from collections import deque

    return list(deque(lines, maxlen=count))
