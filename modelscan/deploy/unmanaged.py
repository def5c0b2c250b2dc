"""Models on configured GPUStack servers that are not recorded here: list them, adopt one.

``adopt`` adds our marker, a row and, where the model runs, a routing entry.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from modelscan.core.deployment import ClusterRecord, Deployment
from modelscan.core.deployment_name import check_name
from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.deploy import routes
from modelscan.deploy.reconcile import Warn, no_warnings, reconcile
from modelscan.state.clock import now_text
from modelscan.state.store import Store
from modelscan.state.targets import TargetConfig, load
from modelscan.targets.gpustack import model as remote
from modelscan.targets.gpustack.drift import snapshot
from modelscan.targets.gpustack.states import status
from modelscan.targets.gpustack.target import GpuStackTarget
from modelscan.targets.gpustack.types import (
    RemoteInstance,
    RemoteModel,
    parse_instance,
    parse_model,
)

if TYPE_CHECKING:
    from modelscan.deploy.deployments import Deployments
    from modelscan.state.config import Config

_TIMEOUT_S = 5.0
_TASKS = {"embedding": "embedding", "reranker": "rerank"}


def unmanaged(
    config: Config, recorded: Sequence[Deployment], warn: Warn = no_warnings
) -> tuple[Deployment, ...]:
    """The models of the configured servers that are not among ``recorded``, by target and name.

    ``warn`` receives the error of a server that does not answer.
    """
    from concurrent.futures import ThreadPoolExecutor

    servers = load(config.paths).items
    if not servers:
        return ()
    with ThreadPoolExecutor(min(8, len(servers))) as pool:
        answers = list(pool.map(lambda server: _models_of(server, config, recorded), servers))
    for answer in answers:
        if isinstance(answer, ModelscanError):
            warn(answer.message)
    rows = [row for answer in answers if not isinstance(answer, ModelscanError) for row in answer]
    return tuple(sorted(rows, key=lambda row: (row.target, row.name)))


def _models_of(
    server: TargetConfig, config: Config, recorded: Sequence[Deployment]
) -> list[Deployment] | ModelscanError:
    launches = [row.launch for row in recorded if row.target == server.name]
    ours = {one.marker for one in launches if isinstance(one, ClusterLaunch) and one.marker}
    try:
        with GpuStackTarget(config, server).client(_TIMEOUT_S, attempts=1) as client:
            models = [parse_model(row) for row in client.list("models")]
            instances = [parse_instance(row) for row in client.list("model-instances")]
    except ModelscanError as error:
        return error
    unmanaged_models = [m for m in models if not any(remote.is_ours(m, mark) for mark in ours)]
    return [
        _describe(model, [i for i in instances if i.model_id == model.id], server)
        for model in unmanaged_models
    ]


def _describe(
    model: RemoteModel, instances: Sequence[RemoteInstance], server: TargetConfig
) -> Deployment:
    """An unmanaged model as a deployment with the facts that the server reports."""
    observed = status(model, instances)
    created = str(model.raw.get("created_at") or now_text())
    return Deployment(
        name=model.name,
        model=model.repo or model.name,
        target=server.name,
        backend=(model.backend or "unknown").lower(),
        quantization=None,
        state=observed.state,
        reason=observed.reason,
        endpoint=server.url,
        context_tokens=None,
        gpus=(),
        created_at=created,
        updated_at=model.updated_at or created,
        served_model=model.name,
        task=_task(model),
        api_key=server.api_key,
        managed=False,
        health="ok" if observed.state is State.RUNNING else None,
    )


def _task(model: RemoteModel) -> str:
    categories = model.raw.get("categories") or ()
    return next((_TASKS[name] for name in categories if name in _TASKS), "chat")


def adopt(name: str, target: str, service: Deployments, *, route: bool = True) -> Deployment:
    """Record a server's model as a managed deployment, without a restart.

    ``route`` also writes a routing entry. Raises UsageError where the name is taken on this
    machine, RemoteError where the server has no such model.
    """
    check_name(name)
    server = load(service.config.paths).find(target)
    place = GpuStackTarget(service.config, server)
    with service.session(name) as session, place.client() as client:
        if session.store.get(name) is not None:
            raise UsageError(
                f"a deployment '{name}' exists already",
                hint=f"modelscan show {name}", code="name_taken",
            )  # fmt: skip
        model = remote.by_name(client, name)
        if model is None:
            raise RemoteError(
                f"{target} has no model '{name}'", hint="modelscan list", code="not_found"
            )
        if route:
            routes.check_free(session.routing_file, name)
        marker = f"modelscan:{uuid.uuid4().hex[:16]}"
        launch = ClusterLaunch(_body(model, marker), marker, client.dialect.management)
        adopted = _managed(model, server, launch, remote.instances(client, model.id), route)
        session.store.put(adopted)
        remote.change(client, model, {"description": _description(model, marker)})
        return reconcile(adopted, session)


def _description(model: RemoteModel, marker: str) -> str:
    """The model's description with our marker in place of an earlier one."""
    import re

    words = re.sub(r"\s*\(?modelscan:[0-9a-f]+\)?", "", model.raw.get("description") or "").strip()
    return f"{words} (adopted by modelscan, {marker})".strip()


def _body(model: RemoteModel, marker: str) -> dict[str, Any]:
    """The request body that starts the model again. Environment variables are left out: the server
    keeps fields that are not sent."""
    fields = {k: v for k, v in snapshot(model.raw).items() if k != "env"}
    body: dict[str, Any] = {k: v for k, v in fields.items() if v not in (None, [], {})}
    body |= {"name": model.name, "description": _description(model, marker)}
    body["replicas"] = model.replicas or 1
    return body


def _managed(
    model: RemoteModel,
    server: TargetConfig,
    launch: ClusterLaunch,
    instances: Sequence[RemoteInstance],
    route: bool,
) -> Deployment:
    row = _describe(model, instances, server)
    record = ClusterRecord(model_id=model.id, row=snapshot(model.raw))
    # Starting, not running: ``reconcile`` verifies it with a request first.
    state = State.STARTING if row.state not in (State.STOPPED, State.STOPPING) else State.STOPPED
    return replace(
        row,
        state=state,
        end_cause=EndCause.STOPPED_AT_TARGET if state is State.STOPPED else None,
        managed=True,
        health=None,
        updated_at=now_text(),
        launch=launch,
        remote=record,
        route=model.name if route else None,
    )


def adopt_if_unmanaged(name: str, service: Deployments, *, force: bool | None) -> None:
    """Adopt an unmanaged model of that name before a command acts on it.

    Without ``force`` raises UsageError with the model's target (None: the command has no
    ``--force``). Does nothing for a recorded name and for a name that no server has.
    """
    with Store.open(service.config.paths.store_file) as store:
        rows, names = store.all(), store.names()
    if name in names:
        return
    for model in unmanaged(service.config, rows):
        if model.name != name:
            continue
        if not force:
            option = "" if force is None else ", or add --force"
            raise UsageError(
                f"'{name}' is a model of {model.target} that modelscan does not manage",
                hint=f"modelscan discover --adopt {name} --target {model.target}{option}",
                code="unmanaged",
            )
        adopt(name, model.target, service, route=False)
        return
