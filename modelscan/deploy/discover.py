"""Engines that somebody else started on this machine: into the list and the routing file.

``adopt`` writes a row of the target ``found`` and its route. The process stays its owner's:
``stop`` only ends the routing, ``start`` asks it again and routes to it, ``remove`` forgets it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import RemoteError, UsageError
from modelscan.core.plan import ResolvedModel
from modelscan.deploy import routes
from modelscan.deploy.reconcile import finish
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.secrets import resolve
from modelscan.state.store import Store, deployment_lock
from modelscan.supervisor.discover import PORTS, Found, Served, scan
from modelscan.supervisor.health import Address, serves, verify
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.registry import Observation, Save
from modelscan.targets.request import Events, Request, check_name, derive_name, silent

TARGET = "found"
_VERIFY_S = 60.0


@dataclass(frozen=True, slots=True)
class Offer:
    """One served model, the name it would get, and the deployment that it is already."""

    server: Found
    model: Served | None  # None: the server wants a key, so its models are unknown
    name: str | None
    deployment: str | None = None


def discover(
    config: Config, ports: Sequence[int] = (), api_key: str | None = None
) -> tuple[Offer, ...]:
    """Every model served on these ports, the known ones and Ollama's, without our own.

    A key is for one server and must not be shown to others: with one, only ``ports`` are asked.
    """
    if api_key and len(ports) != 1:
        raise UsageError("a key is for one server: name its --port",
                         hint="modelscan discover --port 8000 --api-key env:NAME")  # fmt: skip
    key = resolve(api_key) if api_key else None
    with Store.open(config.paths.store_file) as store:
        rows = store.all()
    own = {row.port for row in rows if row.target == "local" and row.port}
    asked = tuple(ports) if key else (*ports, *PORTS, *_ollama_port(config))
    found = scan([port for port in asked if port not in own], key=key)
    return tuple(_offers(found, rows))


def _ollama_port(config: Config) -> tuple[int, ...]:
    parts = urlsplit(config.text("ollama_endpoint"))
    local = parts.hostname in ("127.0.0.1", "localhost")
    return (parts.port,) if local and parts.port else ()


def _offers(found: Sequence[Found], rows: Sequence[Deployment]) -> Iterator[Offer]:
    known = {(row.endpoint, _plain(row.served_model)): row.name for row in rows}
    taken = {row.name for row in rows}
    for server in found:
        if not server.models:
            yield Offer(server, None, None)
        for model in server.models:
            there = known.get((server.endpoint, _plain(model.name)))
            name = there or _free_name(derive_name(_label(model)), server.port, taken)
            taken.add(name)
            yield Offer(server, model, name, there)


def _plain(served: str | None) -> str | None:
    """Ollama's ``name:latest`` is ``name``."""
    return served.removesuffix(":latest") if served else None


def _label(model: Served) -> str:
    """A name to derive ours from; vLLM calls a model by its path unless told otherwise."""
    return str(_plain(model.name)).replace(":", "-")


def _free_name(name: str, port: int, taken: set[str]) -> str:
    return name if name not in taken else f"{name[:56]}-{port}"


def adopt(
    name: str,
    config: Config,
    *,
    ports: Sequence[int] = (),
    api_key: str | None = None,
    route: bool = True,
) -> Deployment:
    """Ask it for a token, then write its row and route. Raises UsageError for an unknown NAME,
    RemoteError when it gives no answer. Adopting twice changes nothing."""
    offers = discover(config, ports, api_key)
    offer = next((one for one in offers if one.model and name in (one.name, one.model.name)), None)
    if offer is None or offer.model is None or offer.name is None:
        there = ", ".join(str(one.name) for one in offers if one.name) or "none"
        raise UsageError(
            f"no model '{name}' is served on the known ports (there are: {there})",
            hint="modelscan discover --port PORT", code="not_found",
        )  # fmt: skip
    check_name(offer.name)
    with (
        hold(deployment_lock(config.paths.locks_dir, offer.name), what=f"deployment {offer.name}"),
        Store.open(config.paths.store_file) as store,
    ):
        before = store.get(offer.name)
        if before is not None and before.target != TARGET:
            raise UsageError(f"there is a deployment '{offer.name}' already",
                             hint=f"modelscan show {offer.name}", code="name_taken")  # fmt: skip
        if route:
            routes.check_free(config.routing_file, offer.name)
        row = _row(offer.server, offer.model, offer.name, api_key, route)
        if before is not None:
            row = replace(row, created_at=before.created_at)
        return finish(_asked(row), FoundTarget(config), store, config.routing_file)


def _row(server: Found, model: Served, name: str, api_key: str | None, route: bool) -> Deployment:
    now = now_text()
    return Deployment(
        name=name, model=model.name, target=TARGET, backend=server.engine, quantization=None,
        state=State.STARTING, endpoint=server.endpoint, context_tokens=model.context_tokens,
        gpus=(), created_at=now, updated_at=now, served_model=model.name, api_key=api_key,
        managed=False, run_id=new_run_id(), route=name if route else None,
        remote={"engine_version": server.version, "path": model.path},
    )  # fmt: skip


def _asked(row: Deployment) -> Deployment:
    """The row as running, once it has answered: what kind of model it is, it says by answering."""
    said = []
    for task in dict.fromkeys((row.task, "chat", "embedding", "rerank")):
        wrong = verify(_address(row, with_key=True), task, row.served_model or row.model,
                       timeout_s=_VERIFY_S)  # fmt: skip
        if wrong is None:
            now = now_text()
            return replace(row, state=State.RUNNING, task=task, health="ok", reason=None,
                           started_at=now, updated_at=now)  # fmt: skip
        said.append(wrong)
    raise RemoteError(
        f"{row.name} at {row.endpoint} gives no answer: {said[0]}",
        hint="modelscan discover", code="no_answer", details={"reason": said[0]},
    )  # fmt: skip


def _address(row: Deployment, *, with_key: bool = False) -> Address:
    parts = urlsplit(row.endpoint or "")
    key = resolve(row.api_key) if with_key and row.api_key else None
    return Address(parts.hostname or "127.0.0.1", parts.port or 80, key)


class FoundTarget:
    """See ``deploy.targets.Target``: servers of others, looked at and asked."""

    route_type = "openai"

    def __init__(self, config: Config) -> None:
        self._config = config

    def propose(
        self, name: str, subject: ResolvedModel, request: Request, save: Save, now: str,
        events: Events = silent,
    ) -> Deployment:  # fmt: skip
        raise UsageError("nothing can be deployed to 'found': it lists what others started",
                         hint="modelscan discover --adopt NAME")  # fmt: skip

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        return {"method": "GET", "url": f"{deployment.endpoint}/v1/models", "body": {}}

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        started = replace(deployment, state=State.STARTING, reason=None, run_id=new_run_id())
        save(started)
        return started

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        return _asked(deployment)

    def observe(self, deployment: Deployment) -> Observation:
        if deployment.state not in (State.STARTING, State.RUNNING):
            return Observation(deployment.state, reason=deployment.reason)
        there = serves(_address(deployment, with_key=True), str(deployment.served_model))
        if deployment.state is State.STARTING:
            return Observation(State.STARTING, ready=there)
        if there:
            return Observation(State.RUNNING, "ok")
        return Observation(
            State.STOPPED, reason=f"{deployment.endpoint} does not serve it any more"
        )

    def interrupt(self, deployment: Deployment) -> None:
        """Nothing of ours runs."""

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """Only the routing ends: the process belongs to somebody else."""

    def remove(self, deployment: Deployment) -> None:
        """Only the row and the route."""

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        raise UsageError(f"{deployment.name} was started by somebody else, who has its log",
                         code="no_log")  # fmt: skip
