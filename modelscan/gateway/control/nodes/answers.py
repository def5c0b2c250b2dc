"""The results of ``modelscan node list|show|drain|undrain|remove`` and ``route hosts``: from the
server's database, so that they need no running gateway."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.node import NodeState, RegisteredService
from modelscan.gateway.control.nodes.host import NodeHost, restored
from modelscan.gateway.control.nodes.rules import skew_problems, skew_s
from modelscan.routing.reported import refusal
from modelscan.state.clock import text_of
from modelscan.state.server.audit import local_user
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.nodes import NodeNumbers, NodeStore


@dataclass(frozen=True, slots=True)
class ListedGpu:
    """A device of a node; bytes."""

    index: int
    name: str
    vendor: str | None
    uuid: str | None
    memory_bytes: int | None
    free_bytes: int | None
    promised_bytes: int | None


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service as its node reports it. ``loaded``: its first model; ``refused``: why the node
    accepts no requests for it."""

    name: str
    kind: str
    endpoint: str
    engine: str | None
    models: tuple[str, ...]
    context_tokens: int | None
    loaded: bool | None
    health: str
    refused: str | None
    p50_latency_ms: float | None
    tokens_per_s: float | None
    queue: int | None
    in_flight: int | None


@dataclass(frozen=True, slots=True)
class ListedNode:
    """A node. ``last_seen``: when its last message arrived; ``silent_s``: seconds since then.

    ``clock_ahead_s``: how far its own clock is ahead, the message's way included.
    """

    name: str
    state: NodeState
    last_seen: str
    silent_s: float
    interval_s: float
    display_name: str | None
    address: str | None
    key: str | None
    version: str | None
    drained: bool
    clock_ahead_s: float | None
    labels: dict[str, Any]
    gpus: tuple[ListedGpu, ...]
    services: tuple[ListedService, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodeList:
    """Every node, by name; those that left are listed for a day."""

    nodes: tuple[ListedNode, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeShown:
    """One node. ``capabilities``, ``resources`` and ``metrics``: in the node's own words."""

    node: ListedNode
    capabilities: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodesChanged:
    """The nodes that a command changed, as they are now."""

    nodes: tuple[ListedNode, ...]


@dataclass(frozen=True, slots=True)
class NodesRemoved:
    """The names of the nodes that were forgotten."""

    removed: tuple[str, ...]


def list_nodes(database: ServerDatabase) -> NodeList:
    """Every node with its state, devices and services."""
    return NodeList(tuple(_listed(host) for host in stored_hosts(database)))


def show_node(database: ServerDatabase, name: str) -> NodeShown:
    """One node. Raises UsageError with the nearest names if there is none."""
    host = _named(database, [name])[0]
    about = host.about
    return NodeShown(_listed(host), about.capabilities, about.resources, host.metrics)


def drain_nodes(database: ServerDatabase, names: Sequence[str], drained: bool) -> NodesChanged:
    """Give nodes no new requests, or some again; requests under way go on.

    Raises UsageError if there is no node of a name; then nothing is changed.
    """
    _named(database, names)
    store = NodeStore(database)
    for name in names:
        store.drain(name, drained, local_user())
    return NodesChanged(tuple(_listed(host) for host in _named(database, names)))


def remove_nodes(database: ServerDatabase, names: Sequence[str]) -> NodesRemoved:
    """Forget nodes; one that is alive registers again. Raises UsageError for an unknown name."""
    _named(database, names)
    NodeStore(database).remove(names, local_user())
    return NodesRemoved(tuple(names))


def stored_hosts(database: ServerDatabase) -> list[NodeHost]:
    """The nodes of the database, by name, with the states that they have now."""
    read = NodeStore(database).read(NodeNumbers(-1, -1))
    now = time.time()
    hosts = [restored(row, read.services.get(row.host_id, ()), 0.0, None) for row in read.hosts]
    for host in hosts:
        host.state = host.find_state(now - host.row.last_seen)  # seen at 0
    return sorted(hosts, key=lambda one: one.name)


def _named(database: ServerDatabase, names: Iterable[str]) -> list[NodeHost]:
    hosts = {host.name: host for host in stored_hosts(database)}
    for name in names:
        if name not in hosts:
            near = nearest(name, hosts, limit=3)
            raise UsageError(
                f"there is no node '{name}'",
                hint=f"modelscan node show {near[0]}" if near else "modelscan node list",
                code="unknown_node",
                details={"nearest": near},
            )
    return [hosts[name] for name in dict.fromkeys(names)]


def _listed(host: NodeHost) -> ListedNode:
    row, ahead = host.row, skew_s(host.row)
    return ListedNode(
        name=host.name,
        state=host.state,
        last_seen=text_of(row.last_seen),
        silent_s=round(max(0.0, time.time() - row.last_seen), 3),
        interval_s=row.interval_s,
        display_name=host.about.display_name,
        address=host.about.address,
        key=row.key,
        version=host.extra.version,
        drained=row.drained,
        clock_ahead_s=ahead,
        labels=host.about.labels,
        gpus=tuple(
            ListedGpu(
                one.index, one.name, one.vendor, one.uuid, one.memory_bytes, one.free_bytes,
                one.promised_bytes,
            )
            for one in host.hardware.gpus
        ),
        services=tuple(_service(one) for one in host.services.values()),
        problems=tuple(skew_problems(ahead)),
    )  # fmt: skip


def _service(service: RegisteredService) -> ListedService:
    first = service.assets[0] if service.assets else None
    seen = service.observed
    return ListedService(
        name=service.service_id,
        kind=service.kind,
        endpoint=service.endpoint,
        engine=service.runtime.engine,
        models=tuple(one.asset_id for one in service.assets),
        context_tokens=(first.context_size if first else None) or service.runtime.context_size,
        loaded=first.loaded if first else None,
        health=service.state.health,
        refused=refusal(service),
        p50_latency_ms=seen.p50_latency_ms,
        tokens_per_s=seen.tokens_per_sec,
        queue=seen.queue_depth,
        in_flight=seen.in_flight,
    )
