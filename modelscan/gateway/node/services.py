"""The services of a node: the entries of its own gateway, and engines that it discovers.

Requests to an entry go to the node's gateway, which knows its policies, limits and keys. An engine
that is in no entry is reported with its own address; where it listens on loopback only and the
control plane is another machine, it accepts no requests from there, and the reason says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.core.node import MAX_ASSETS
from modelscan.deploy.discover import DiscoveredModel
from modelscan.engines import ollama
from modelscan.gateway.node.wire import (
    AssetFacts,
    NodeAsset,
    NodeService,
    NodeServiceFacts,
    NodeServiceFigures,
    NodeServiceRuntime,
    NodeServiceState,
)
from modelscan.net.address import is_loopback
from modelscan.supervisor.health import Address
from modelscan.supervisor.recognise import DiscoveredServer
from modelscan.supervisor.speed import EngineSpeed
from modelscan.targets.ollama.client import Loaded, OllamaClient, Stored, same_model

_KINDS = {
    "chat": "chat", "embeddings": "embeddings", "rerank": "rerank",
    "transcription": "transcription", "speech": "speech", "image": "image",
}  # fmt: skip
_NOT_REACHED = "its engine listens on this machine only"


@dataclass(frozen=True, slots=True)
class OwnEntry:
    """An entry of the node's gateway whose server is on this machine, as its state is now."""

    name: str
    address: Address
    state: NodeServiceState
    engine: str | None
    model: str | None
    served_model: str | None
    context_tokens: int | None
    loaded: bool | None
    operations: tuple[str, ...] | None
    dialects: tuple[str, ...]
    tags: tuple[str, ...]
    max_in_flight: int | None
    deployment: Deployment | None
    receipts: NodeServiceFigures


@dataclass(frozen=True, slots=True)
class NodePlace:
    """Where others reach this machine: the host's name, and the root of its own gateway."""

    host_id: str
    host: str
    gateway: str

    @property
    def local(self) -> bool:
        """Whether the control plane is on this machine as well."""
        return is_loopback(self.host)


def own_service(entry: OwnEntry, place: NodePlace, speed: EngineSpeed | None) -> NodeService:
    """The service of an entry; figures of its engine come before those of the receipts."""
    kind = kind_of(entry.operations)
    row = entry.deployment
    measured = row.measured if row is not None else None
    facts = AssetFacts(
        model=entry.model,
        quantization=None if row is None else row.quantization,
        vram_bytes=None if measured is None else measured.vram_bytes,
    )
    figures = _figures(entry.receipts, speed)
    figures = replace(
        figures,
        loaded_model_count=None if entry.loaded is None else int(entry.loaded),
        vram_used_bytes=facts.vram_bytes,
    )
    managed = row is not None and row.managed
    return NodeService(
        service_id=service_id(place.host_id, kind, entry.name),
        host_id=place.host_id,
        kind=kind,
        protocol="openai",
        endpoint=place.gateway,
        runtime=NodeServiceRuntime(
            entry.engine, "modelscan" if managed else "external", entry.context_tokens
        ),
        assets=(NodeAsset(entry.name, entry.loaded, entry.context_tokens, None, facts),),
        state=entry.state,
        observed=figures,
        modelscan=NodeServiceFacts(
            "gateway", entry.operations, entry.dialects, entry.max_in_flight, entry.tags,
            None if row is None else row.name,
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DiscoveredEngine:
    """A server that is in no entry of the gateway, with the names of its models.

    ``listens``: the addresses that it accepts connections on; None: the system does not say.
    """

    server: DiscoveredServer
    models: tuple[DiscoveredModel, ...]
    listens: frozenset[str] | None = None
    loaded: tuple[Loaded, ...] = ()
    stored: tuple[Stored, ...] = ()


def unknown_engines(
    offers: Iterable[DiscoveredModel], entries: Iterable[OwnEntry]
) -> dict[int, list[DiscoveredModel]]:
    """The discovered models that no entry of the gateway leads to, by the port of their server."""
    taken = {(one.address.port, _plain(one.served_model)) for one in entries}
    ports = {one.address.port for one in entries if one.served_model is None}
    found: dict[int, list[DiscoveredModel]] = {}
    for offer in offers:
        port = offer.server.port
        if offer.model is None or offer.deployment is not None or port in ports:
            continue
        if (port, _plain(offer.model.name)) not in taken:
            found.setdefault(port, []).append(offer)
    return found


def looked_up(
    models: Sequence[DiscoveredModel], listens: frozenset[str] | None
) -> DiscoveredEngine:
    """A server with what only its own API says: Ollama's models in memory and on disk."""
    server = models[0].server
    if server.engine != ollama.NAME:
        return DiscoveredEngine(server, tuple(models), listens)
    try:
        client = OllamaClient(server.endpoint, timeout_s=2.0)
        return DiscoveredEngine(server, tuple(models), listens, client.loaded(), client.stored())
    except ModelscanError:  # it answered a moment before: without sizes then
        return DiscoveredEngine(server, tuple(models), listens)


def engine_services(
    engine: DiscoveredEngine, place: NodePlace, speed: EngineSpeed | None
) -> Iterator[NodeService]:
    """A service per kind of model: one server may have models for chat and for embeddings."""
    kinds: dict[str, list[NodeAsset]] = {}
    for offer in engine.models:
        kind, asset = _asset(engine, offer)
        kinds.setdefault(kind, []).append(asset)
    server = engine.server
    reason = _why_unreachable(engine, place)
    for kind, assets in kinds.items():
        vram = [one.modelscan.vram_bytes or 0 for one in assets if one.loaded]
        figures = replace(
            _figures(NodeServiceFigures(), speed),
            loaded_model_count=sum(bool(one.loaded) for one in assets),
            vram_used_bytes=sum(vram) if engine.loaded else None,
        )
        cold = not any(one.loaded for one in assets)
        contexts = {one.context_size for one in assets}
        context = contexts.pop() if len(contexts) == 1 else None
        yield NodeService(
            service_id=service_id(place.host_id, kind, f"{server.engine}-{server.port}"),
            host_id=place.host_id,
            kind=kind,
            protocol="openai",
            endpoint=f"http://{_bracketed(place.host)}:{server.port}",
            runtime=NodeServiceRuntime(server.engine, "external", context),
            assets=tuple(assets[:MAX_ASSETS]),
            state=NodeServiceState("healthy", "cold" if cold else "loaded", reason is None),
            observed=figures,
            modelscan=NodeServiceFacts("engine", reason=reason),
        )


def _asset(engine: DiscoveredEngine, offer: DiscoveredModel) -> tuple[str, NodeAsset]:
    """The kind and the asset of a model. A server that loads on demand says what it has loaded."""
    assert offer.model is not None
    name = offer.model.name
    stored = next((one for one in engine.stored if same_model(one.name, name)), None)
    in_memory = next((one for one in engine.loaded if same_model(one.name, name)), None)
    on_demand = engine.server.engine == ollama.NAME
    facts = AssetFacts(
        model=name,
        quantization=None if stored is None else stored.quantization,
        family=None if stored is None else stored.family,
        size_bytes=None if stored is None else stored.file_bytes,
        vram_bytes=None if in_memory is None else in_memory.vram_bytes,
    )
    loaded = in_memory is not None if on_demand else True
    context = in_memory.context_tokens if in_memory else offer.model.context_tokens
    context = context if loaded else None
    kind = "embeddings" if ollama.is_embedding_family(facts.family) else "chat"
    return kind, NodeAsset(name, loaded, context, None, facts)


def _why_unreachable(engine: DiscoveredEngine, place: NodePlace) -> str | None:
    if place.local or engine.listens is None:
        return None
    if all(is_loopback(one) and one not in _EVERYWHERE for one in engine.listens):
        return f"{_NOT_REACHED}: {engine.models[0].adopt_command}"
    return None


_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to


def listening(port: int) -> frozenset[str] | None:
    """The addresses that a port of this machine accepts connections on; None: not visible."""
    import psutil

    try:
        rows = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    found = {row.laddr[0] for row in rows if row.laddr and row.status == psutil.CONN_LISTEN
             and row.laddr[1] == port}  # fmt: skip
    return frozenset(found) or None


def kind_of(operations: tuple[str, ...] | None) -> str:
    """GenieHive's kind of a service: chat where it is not known."""
    found = (_KINDS[one] for one in operations or () if one in _KINDS)
    return next(found, "chat")


def service_id(host_id: str, kind: str, name: str) -> str:
    """A service's id: its host's id, its kind and a name, without other slashes and spaces."""
    return f"{host_id}/{kind}/{re.sub(r'[^A-Za-z0-9._:-]+', '-', name)}"


def gateway_root(scheme: str, host: str, port: int) -> str:
    """The root of the node's gateway, as others write it."""
    return f"{scheme}://{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _plain(name: str | None) -> str | None:
    return None if name is None else name.removesuffix(":latest")


def _figures(receipts: NodeServiceFigures, speed: EngineSpeed | None) -> NodeServiceFigures:
    """The engine's own figures where it has any, else those of the gateway's receipts."""
    if speed is None:
        return receipts
    requests = speed.requests
    return NodeServiceFigures(
        p50_latency_ms=_first(speed.p50_ms, receipts.p50_latency_ms),
        p95_latency_ms=_first(speed.p95_ms, receipts.p95_latency_ms),
        ttft_ms=_first(speed.ttft_ms, receipts.ttft_ms),
        tokens_per_sec=_first(speed.tokens_per_s, receipts.tokens_per_sec),
        queue_depth=receipts.queue_depth if requests is None else requests.waiting,
        in_flight=receipts.in_flight if requests is None else requests.running,
        kv_cache_used=speed.kv_cache_used,
        source="engine_metrics",
    )


def _first(value: float | None, other: float | None) -> float | None:
    return other if value is None else value
