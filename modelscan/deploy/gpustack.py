"""A GPUStack cluster as a target: a plan for its workers, a model on its server, verified.

Every model that modelscan creates carries a marker in its description: a create whose answer was
lost is found again by it, and a model without it is somebody else's and never touched.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.plan import Subject
from modelscan.deploy import gpustack_follow as follow
from modelscan.deploy import gpustack_plan as planning
from modelscan.deploy.request import Events, Request
from modelscan.deploy.targets import Observation, Save
from modelscan.engines.gpustack.body import identity
from modelscan.engines.gpustack.client import Client, Connection
from modelscan.engines.gpustack.states import status
from modelscan.engines.gpustack.types import (
    RemoteInstance,
    RemoteModel,
    parse_instance,
    parse_model,
)
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.targets import TargetConfig

_GONE_S = 60.0
_POLL_S = 0.4
_OBSERVE_TIMEOUT_S = 5.0


class GpuStackTarget:
    """See ``deploy.targets.Target``."""

    route_type = "gpustack"

    def __init__(self, config: Config, target: TargetConfig) -> None:
        self._config = config
        self._target = target

    def client(self, timeout_s: float | None = None) -> Client:
        """A connection to the server; raises AuthError when the key's reference is empty."""
        return Client(
            Connection(
                name=self._target.name,
                url=self._target.url,
                api_key=self._target.api_key,
                ca_file=self._target.ca_file,
                timeout_s=timeout_s or self._config.number("http_timeout_s"),
                offline=self._config.offline,
            )
        )

    def propose(
        self, name: str, subject: Subject, request: Request, save: Save, now: str
    ) -> Deployment:
        with self.client() as client:
            proposal = planning.propose(client, self._target, name, subject, request)
            evaluation = planning.evaluate(client, proposal)
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
            launch={"body": proposal.body, "marker": proposal.marker},
            remote={"model_id": None, "evaluation": evaluation},
            route=name if request.route else None,
        )
        save(deployment)
        return deployment

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        body = (deployment.launch or {})["body"]
        with self.client() as client:
            url = f"{self._target.url}{client.dialect.management}/models"
        return {"method": "POST", "url": url, "body": body, "evaluation": _evaluation(deployment)}

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        started = replace(
            deployment, state=State.STARTING, reason=None, health=None, routed=False,
            measured=None, started_at=None,
        )  # fmt: skip
        save(started)
        with self.client() as client:
            model = self._create_or_update(client, started)
        started = replace(started, remote={**(started.remote or {}), "model_id": model.id})
        save(started)
        return started

    def _create_or_update(self, client: Client, deployment: Deployment) -> RemoteModel:
        """One model, whatever was lost on the way before."""
        launch = deployment.launch or {}
        body = dict(launch["body"])
        found = self.find(client, deployment)
        if found is not None:
            return parse_model(client.put(f"models/{found.id}", body, what=f"update {found.name}"))
        try:
            return parse_model(client.post("models", body, what=f"create {deployment.name}"))
        except RemoteError:
            found = self.find(client, deployment)  # the answer was lost, the model may be there
            if found is None:
                raise
            return found

    def find(self, client: Client, deployment: Deployment) -> RemoteModel | None:
        """Our model on the server. Raises UsageError when the name is somebody else's."""
        marker = (deployment.launch or {}).get("marker")
        for row in client.list("models", search=deployment.name):
            model = parse_model(row)
            if model.name != deployment.name:
                continue
            if marker and marker in (row.get("description") or ""):
                return model
            raise UsageError(
                f"{self._target.name} has a model '{deployment.name}' that modelscan did not make",
                hint=f"choose another --name, or: modelscan adopt {deployment.name} "
                f"--target {self._target.name}",
                code="name_taken",
            )
        return None

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        deadline = time.monotonic() + timeout_s
        with self.client() as client:
            model_id = self._model_id(client, deployment)
            follow.until_running(client, model_id, deployment, deadline, events)
            follow.verify(client, deployment, deadline)
            instances = _instances(client, model_id)
        remote = {**(deployment.remote or {}), "model_id": model_id}
        remote["instances"] = [follow.instance_json(instance) for instance in instances]
        return replace(
            deployment, state=State.RUNNING, health="ok", reason=None, started_at=now_text(),
            remote=remote,
        )  # fmt: skip

    def observe(self, deployment: Deployment) -> Observation:
        """An unreachable server changes nothing but the health: unknown is not stopped."""
        if deployment.state not in (State.STARTING, State.RUNNING):
            return Observation(deployment.state, reason=deployment.reason)
        try:
            with self.client(_OBSERVE_TIMEOUT_S) as client:
                found = self.find(client, deployment)
                if found is None:
                    return self._deleted(deployment)
                seen = status(found, _instances(client, found.id))
        except ModelscanError as error:
            return Observation(deployment.state, "unknown", reason=error.message)
        if seen.state is State.RUNNING:
            ready = deployment.state is State.STARTING
            return Observation(deployment.state, None if ready else "ok", ready=ready)
        if seen.state in (State.STOPPED, State.STOPPING):
            return Observation(State.STOPPED, reason=f"it was stopped at {self._target.name}")
        if seen.final:
            return Observation(State.FAILED, reason=seen.reason)
        if deployment.state is State.RUNNING:
            return Observation(State.RUNNING, "unhealthy", reason=seen.reason)
        return Observation(State.STARTING, reason=seen.reason)

    def _deleted(self, deployment: Deployment) -> Observation:
        if deployment.state is State.STARTING and (deployment.remote or {}).get("model_id") is None:
            reason = "it was interrupted before the server had the model"
        else:
            reason = f"it was deleted at {self._target.name}"
        return Observation(State.STOPPED, reason=reason)

    def interrupt(self, deployment: Deployment) -> None:
        self.stop(deployment, drain_s=0)

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """Replicas to 0, and done only when no instance is left."""
        with self.client() as client:
            found = self.find(client, deployment)
            if found is None:
                return
            if found.replicas:
                body = {**identity(found.raw), "replicas": 0}
                client.put(f"models/{found.id}", body, what=f"stop {found.name}")
            self._until_gone(client, found)

    def _until_gone(self, client: Client, model: RemoteModel) -> None:
        deadline = time.monotonic() + _GONE_S
        while instances := _instances(client, model.id):
            if time.monotonic() > deadline:
                raise RemoteError(
                    f"{model.name} still has {len(instances)} instance(s) after {_GONE_S:g} s "
                    f"({', '.join(i.state for i in instances)})",
                    hint=f"modelscan stop {model.name}", code="not_stopped",
                )  # fmt: skip
            time.sleep(_POLL_S)

    def remove(self, deployment: Deployment) -> None:
        with self.client() as client:
            found = self.find(client, deployment)
            if found is None:
                return
            client.delete(f"models/{found.id}", what=f"delete {found.name}")
            if self.find(client, deployment) is not None:
                raise RemoteError(
                    f"{self._target.name} said it deleted {found.name}, but it is still there",
                    hint=f"modelscan remove {found.name}", code="not_removed",
                )  # fmt: skip

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        with contextlib.ExitStack() as stack:
            client = stack.enter_context(self.client())
            instances = _instances(client, self._model_id(client, deployment))
            if not instances:
                raise RemoteError(f"{deployment.name} has no instance", hint="modelscan list")
            params = {"tail": tail if tail is not None else 1000, "follow": str(follow).lower()}
            path = f"model-instances/{instances[0].id}/logs"
            lines = stack.enter_context(client.stream(path, what="read the log", params=params))
            yield from lines

    def _model_id(self, client: Client, deployment: Deployment) -> int:
        found = self.find(client, deployment)
        if found is None:
            raise RemoteError(
                f"{self._target.name} has no model '{deployment.name}'",
                hint=f"modelscan start {deployment.name}", code="not_found",
            )  # fmt: skip
        return found.id


def _instances(client: Client, model_id: int) -> list[RemoteInstance]:
    rows = client.list("model-instances", model_id=model_id)
    return [parse_instance(row) for row in rows if int(row.get("model_id") or model_id) == model_id]


def _evaluation(deployment: Deployment) -> Any:
    return (deployment.remote or {}).get("evaluation")
