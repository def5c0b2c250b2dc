"""Servers on this machine that modelscan did not start: discover them and adopt one.

``adopt`` writes a row of the target ``found`` (``targets.found``) and its routing entry.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from modelscan.core.deployment import Deployment, FoundRecord
from modelscan.core.deployment_name import check_name, derive_name
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.deploy import routes
from modelscan.deploy.reconcile import finish
from modelscan.net.address import is_loopback
from modelscan.state.secrets import resolve
from modelscan.state.store import Store
from modelscan.supervisor.discover import PORTS, scan
from modelscan.supervisor.recognise import DiscoveredServer, ServedModel
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.found.target import NAME as TARGET
from modelscan.targets.found.target import answering
from modelscan.targets.ollama.client import server_address

if TYPE_CHECKING:
    from modelscan.deploy.deployments import Deployments
    from modelscan.state.config import Config


@dataclass(frozen=True, slots=True)
class DiscoveredModel:
    """A served model with the name it would get, or the name of its existing deployment."""

    server: DiscoveredServer
    model: ServedModel | None  # None: the server requires a key, so its models are unknown
    name: str | None
    deployment: str | None = None
    usual_port: bool = True  # ``discover`` checks its port without ``--port``

    @property
    def adopt_command(self) -> str:
        """The command that adopts it; it finds the server again."""
        port = "" if self.usual_port else f" --port {self.server.port}"
        return f"modelscan discover --adopt {shlex.quote(self.name or '')}{port}"


def discover(
    config: Config, ports: Sequence[int] = (), api_key: str | None = None
) -> tuple[DiscoveredModel, ...]:
    """Every model served on ``ports``, the engines' usual ports and Ollama's, without our own.

    A key must not reach another server: with ``api_key`` (``env:NAME`` or ``file:PATH``), only the
    one port in ``ports`` gets a request. Raises UsageError for a key with several ports or none.
    """
    if api_key and len(ports) != 1:
        raise UsageError("a key belongs to one server: give its --port",
                         hint="modelscan discover --port 8000 --api-key env:NAME")  # fmt: skip
    key = resolve(api_key) if api_key else None
    with Store.open(config.paths.store_file) as store:
        rows = store.all()
    own_ports = {row.port for row in rows if row.target == "local" and row.port}
    usual = (*PORTS, *_ollama_port(config))
    candidates = tuple(ports) if key else (*ports, *usual)
    servers = scan([port for port in candidates if port not in own_ports], key=key)
    offers = _offers(servers, rows)
    return tuple(replace(offer, usual_port=offer.server.port in usual) for offer in offers)


def _ollama_port(config: Config) -> tuple[int, ...]:
    """The configured server's port, if it is on this machine. Raises UsageError if the setting is
    no address.
    """
    parts = urlsplit(server_address(config.ollama_endpoint))
    return (parts.port,) if is_loopback(parts.hostname or "") and parts.port else ()


def _offers(
    servers: Sequence[DiscoveredServer], rows: Sequence[Deployment]
) -> Iterator[DiscoveredModel]:
    deployments = {(row.endpoint, _without_latest(row.served_model)): row.name for row in rows}
    names = {row.name for row in rows}
    for server in servers:
        if not server.models:
            yield DiscoveredModel(server, None, None)
        for model in server.models:
            deployment = deployments.get((server.endpoint, _without_latest(model.name)))
            name = deployment or _free_name(derive_name(_label(model)), server.port, names)
            names.add(name)
            yield DiscoveredModel(server, model, name, deployment)


def _without_latest(served: str | None) -> str | None:
    """``name:latest`` -> ``name``, which Ollama treats as equal."""
    return served.removesuffix(":latest") if served else None


def _label(model: ServedModel) -> str:
    """The served name (vLLM's default is the model's path), the base of a deployment's name."""
    return str(_without_latest(model.name)).replace(":", "-")


def _free_name(name: str, port: int, names: set[str]) -> str:
    return name if name not in names else f"{name[:56]}-{port}"


def adopt(
    name: str,
    service: Deployments,
    *,
    ports: Sequence[int] = (),
    api_key: str | None = None,
    route: bool = True,
) -> Deployment:
    """Request one token from the server, then write its row and routing entry.

    Raises UsageError for an unknown or taken name, StartFailed when the server gives no answer.
    Adopting twice changes nothing.
    """
    offers = discover(service.config, ports, api_key)
    offer = next((one for one in offers if one.model and name in (one.name, one.model.name)), None)
    if offer is None or offer.model is None or offer.name is None:
        names = ", ".join(str(one.name) for one in offers if one.name) or "none"
        raise UsageError(
            f"no server on the scanned ports has a model '{name}' (models: {names})",
            hint="modelscan discover --port PORT", code="not_found",
        )  # fmt: skip
    check_name(offer.name)
    with service.session(offer.name) as session:
        previous = session.store.get(offer.name)
        if previous is not None and previous.target != TARGET:
            raise UsageError(f"a deployment '{offer.name}' exists already",
                             hint=f"modelscan show {offer.name}", code="name_taken")  # fmt: skip
        if route:
            routes.check_free(session.routing_file, offer.name)
        row = _row(offer.server, offer.model, offer.name, session.now())
        row = replace(row, api_key=api_key, route=offer.name if route else None)
        if previous is not None:
            row = replace(row, created_at=previous.created_at)
        return finish(answering(row, session.now()), session)


def _row(server: DiscoveredServer, model: ServedModel, name: str, now: str) -> Deployment:
    return Deployment(
        name=name, model=model.name, target=TARGET, backend=server.engine, quantization=None,
        state=State.STARTING, endpoint=server.endpoint, context_tokens=model.context_tokens,
        gpus=(), created_at=now, updated_at=now, served_model=model.name, managed=False,
        run_id=new_run_id(), remote=FoundRecord(server.version, model.path),
    )  # fmt: skip
