"""Engines on this machine that modelscan did not start: found, and adopted into list and routing.

``adopt`` writes a row of the target ``found`` (``targets.found``) and its route.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from modelscan.core.deployment import Deployment, FoundRecord
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.deploy import routes
from modelscan.deploy.deployments import Deployments
from modelscan.deploy.reconcile import finish
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.state.store import Store
from modelscan.supervisor.discover import PORTS, DiscoveredServer, ServedModel, scan
from modelscan.supervisor.spawn import new_run_id
from modelscan.targets.found.target import NAME as TARGET
from modelscan.targets.found.target import answering
from modelscan.targets.request import check_name, derive_name


@dataclass(frozen=True, slots=True)
class Offer:
    """One served model, the name it would get, and the deployment that it is already."""

    server: DiscoveredServer
    model: ServedModel | None  # None: the server wants a key, so its models are unknown
    name: str | None
    deployment: str | None = None


def discover(
    config: Config, ports: Sequence[int] = (), api_key: str | None = None
) -> tuple[Offer, ...]:
    """Every model served on these ports, the known ones and Ollama's, without our own.

    A key belongs to one server and must not be sent to others: with one, only ``ports`` are asked.
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
    parts = urlsplit(config.ollama_endpoint)
    local = parts.hostname in ("127.0.0.1", "localhost")
    return (parts.port,) if local and parts.port else ()


def _offers(found: Sequence[DiscoveredServer], rows: Sequence[Deployment]) -> Iterator[Offer]:
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


def _label(model: ServedModel) -> str:
    """A name to derive ours from; vLLM calls a model by its path unless told otherwise."""
    return str(_plain(model.name)).replace(":", "-")


def _free_name(name: str, port: int, taken: set[str]) -> str:
    return name if name not in taken else f"{name[:56]}-{port}"


def adopt(
    name: str,
    service: Deployments,
    *,
    ports: Sequence[int] = (),
    api_key: str | None = None,
    route: bool = True,
) -> Deployment:
    """Ask it for a token, then write its row and route. Raises UsageError for an unknown NAME,
    StartFailed when it gives no answer. Adopting twice changes nothing."""
    offers = discover(service.config, ports, api_key)
    offer = next((one for one in offers if one.model and name in (one.name, one.model.name)), None)
    if offer is None or offer.model is None or offer.name is None:
        there = ", ".join(str(one.name) for one in offers if one.name) or "none"
        raise UsageError(
            f"no model '{name}' is served on the known ports (there are: {there})",
            hint="modelscan discover --port PORT", code="not_found",
        )  # fmt: skip
    check_name(offer.name)
    with service.session(offer.name) as session:
        before = session.store.get(offer.name)
        if before is not None and before.target != TARGET:
            raise UsageError(f"there is a deployment '{offer.name}' already",
                             hint=f"modelscan show {offer.name}", code="name_taken")  # fmt: skip
        if route:
            routes.check_free(session.routing_file, offer.name)
        row = _row(offer.server, offer.model, offer.name, session.now())
        row = replace(row, api_key=api_key, route=offer.name if route else None)
        if before is not None:
            row = replace(row, created_at=before.created_at)
        return finish(answering(row, session.now()), session)


def _row(server: DiscoveredServer, model: ServedModel, name: str, now: str) -> Deployment:
    return Deployment(
        name=name, model=model.name, target=TARGET, backend=server.engine, quantization=None,
        state=State.STARTING, endpoint=server.endpoint, context_tokens=model.context_tokens,
        gpus=(), created_at=now, updated_at=now, served_model=model.name, managed=False,
        run_id=new_run_id(), remote=FoundRecord(server.version, model.path),
    )  # fmt: skip
