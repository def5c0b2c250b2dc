"""Models on configured servers that are not on record here: shown, and left alone.

``adopt`` takes one over: it gets our marker, a row and, when it runs, a route.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.deploy import routes
from modelscan.deploy.reconcile import Warn, ignore, reconcile
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.store import Store, deployment_lock
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
from modelscan.targets.request import check_name

_TIMEOUT_S = 5.0
_TASKS = {"embedding": "embedding", "reranker": "rerank"}


def unmanaged(
    config: Config, known: Sequence[Deployment], warn: Warn = ignore
) -> tuple[Deployment, ...]:
    """What the configured servers run beside our own; a server that is away is told to ``warn``."""
    from concurrent.futures import ThreadPoolExecutor

    servers = load(config.paths).items
    if not servers:
        return ()
    with ThreadPoolExecutor(min(8, len(servers))) as pool:
        answers = list(pool.map(lambda server: _ask(server, config, known), servers))
    for answer in answers:
        if isinstance(answer, ModelscanError):
            warn(answer.message)
    found = [row for answer in answers if not isinstance(answer, ModelscanError) for row in answer]
    return tuple(sorted(found, key=lambda row: (row.target, row.name)))


def _ask(
    server: TargetConfig, config: Config, known: Sequence[Deployment]
) -> list[Deployment] | ModelscanError:
    ours = {(row.launch or {}).get("marker") for row in known if row.target == server.name} - {None}
    try:
        with GpuStackTarget(config, server).client(_TIMEOUT_S, attempts=1) as client:
            models = [parse_model(row) for row in client.list("models")]
            instances = [parse_instance(row) for row in client.list("model-instances")]
    except ModelscanError as error:
        return error
    strangers = [m for m in models if not any(remote.is_ours(m, mark) for mark in ours)]
    return [
        _describe(model, [i for i in instances if i.model_id == model.id], server)
        for model in strangers
    ]


def _describe(
    model: RemoteModel, instances: Sequence[RemoteInstance], server: TargetConfig
) -> Deployment:
    """A stranger as a deployment: what the server says of it, nothing else."""
    seen = status(model, instances)
    created = str(model.raw.get("created_at") or now_text())
    return Deployment(
        name=model.name,
        model=model.repo or model.name,
        target=server.name,
        backend=(model.backend or "unknown").lower(),
        quantization=None,
        state=seen.state,
        reason=seen.reason,
        endpoint=server.url,
        context_tokens=None,
        gpus=(),
        created_at=created,
        updated_at=model.updated_at or created,
        served_model=model.name,
        task=_task(model),
        api_key=server.api_key,
        managed=False,
        health="ok" if seen.state is State.RUNNING else None,
    )


def _task(model: RemoteModel) -> str:
    categories = model.raw.get("categories") or ()
    return next((_TASKS[name] for name in categories if name in _TASKS), "chat")


def adopt(name: str, target: str, config: Config, *, route: bool = True) -> Deployment:
    """Put a server's model on record and under our care; it keeps running as it is.

    Raises UsageError when the name is taken here, RemoteError when the server has no such model.
    """
    check_name(name)
    server = load(config.paths).find(target)
    place = GpuStackTarget(config, server)
    lock = deployment_lock(config.paths.locks_dir, name)
    with (
        hold(lock, what=f"deployment {name}"),
        Store.open(config.paths.store_file) as store,
        place.client() as client,
    ):
        if store.get(name) is not None:
            raise UsageError(
                f"there is a deployment '{name}' already",
                hint=f"modelscan show {name}", code="name_taken",
            )  # fmt: skip
        model = remote.by_name(client, name)
        if model is None:
            raise RemoteError(
                f"{target} has no model '{name}'", hint="modelscan list", code="not_found"
            )
        if route:
            routes.check_free(config.routing_file, name)
        marker = f"modelscan:{uuid.uuid4().hex[:16]}"
        launch = {"body": _body(model, marker), "marker": marker,
                  "management": client.dialect.management}  # fmt: skip
        adopted = _on_record(model, server, launch, remote.instances(client, model.id), route)
        store.put(adopted)
        remote.change(client, model, {"description": _description(model, marker)})
        return reconcile(adopted, place, store, config.routing_file)


def _description(model: RemoteModel, marker: str) -> str:
    """The words that were there, without the marker of whoever had it before."""
    import re

    words = re.sub(r"\s*\(?modelscan:[0-9a-f]+\)?", "", model.raw.get("description") or "").strip()
    return f"{words} (adopted by modelscan, {marker})".strip()


def _body(model: RemoteModel, marker: str) -> dict[str, Any]:
    """What starts it again. Its variables stay on the server: what is not sent is kept there."""
    known = {k: v for k, v in snapshot(model.raw).items() if k != "env"}
    body: dict[str, Any] = {k: v for k, v in known.items() if v not in (None, [], {})}
    body |= {"name": model.name, "description": _description(model, marker)}
    body["replicas"] = model.replicas or 1
    return body


def _on_record(
    model: RemoteModel,
    server: TargetConfig,
    launch: dict[str, Any],
    instances: Sequence[RemoteInstance],
    route: bool,
) -> Deployment:
    row = _describe(model, instances, server)
    kept = {"model_id": model.id, "row": snapshot(model.raw), "evaluation": None}
    # Starting: the look that follows asks it something before it is called running.
    state = State.STARTING if row.state not in (State.STOPPED, State.STOPPING) else State.STOPPED
    return replace(
        row, state=state, managed=True, health=None, updated_at=now_text(),
        launch=launch, remote=kept, route=model.name if route else None,
    )  # fmt: skip


def take_for(name: str, config: Config, *, force: bool | None) -> None:
    """Before a command acts on a name that is not on record: is it a stranger's model?

    With ``force`` it is adopted first; without, UsageError says whose it is (None: the command
    has no such option). A name that nobody knows is left for the caller to complain about.
    """
    with Store.open(config.paths.store_file) as store:
        known = store.all()
    if any(row.name == name for row in known):
        return
    for stranger in unmanaged(config, known):
        if stranger.name != name:
            continue
        if not force:
            insist = "" if force is None else ", or add --force"
            raise UsageError(
                f"'{name}' is at {stranger.target}, and modelscan did not make it",
                hint=f"modelscan adopt {name} --target {stranger.target}{insist}",
                code="unmanaged",
            )
        adopt(name, stranger.target, config, route=False)
        return
