"""Hosts and services as they are answered: every field of GenieHive's answers, and more.

``status.state`` and ``state.health`` are what a caller should believe; what the node reports and
what the gateway's own probes found are next to each other under ``modelscan``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec

from modelscan.core.node import NodeState, RegisteredGpu, RegisteredService
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.nodes.host import NodeHost
from modelscan.gateway.control.nodes.rules import skew_problems, skew_s
from modelscan.state.clock import text_of

GENIEHIVE_STATES = {"ready": "online", "draining": "draining", "stale": "stale", "left": "offline"}


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What GenieHive's shape has no place for. ``reported_state``: the node's own word.

    ``clock_ahead_s``: of the node's clock, the message's way included; it is only shown.
    """

    state: NodeState
    reported_state: str
    last_seen: str
    silent_s: float
    interval_s: float
    clock_ahead_s: float | None
    drained: bool
    key: str | None
    version: str | None
    gpus: tuple[dict[str, Any], ...]
    services: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """Health by the node's report, and by the gateway's own probes; ``refused``: why it gets no
    requests now. ``names``: its routing entries."""

    reported_health: str
    probed_health: str
    probe_reason: str | None
    routable: bool
    refused: str | None
    names: tuple[str, ...]
    host_state: NodeState


_FACTS = tuple(one.name for one in fields(ServiceFacts))


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """GenieHive's counts, and the states that it does not have. ``status`` is always ok, as there;
    ``state`` is degraded where a host is silent or a service is not healthy."""

    status: Literal["ok"]
    state: Literal["ok", "degraded"]
    host_count: int
    online_host_count: int
    stale_host_count: int
    service_count: int
    healthy_service_count: int
    draining_host_count: int
    left_host_count: int
    routable_service_count: int


def host_view(host: NodeHost, silent_s: float) -> dict[str, Any]:
    """A host in GenieHive's shape, with ``modelscan``."""
    about, row = host.about, host.row
    return {
        "host_id": row.host_id,
        "display_name": about.display_name,
        "address": about.address,
        "labels": about.labels,
        "capabilities": about.capabilities,
        "resources": about.resources,
        "status": {"state": GENIEHIVE_STATES[host.state], "last_seen": row.last_seen},
        "metrics": host.metrics,
        "modelscan": host_facts(host, silent_s),
    }


def host_facts(host: NodeHost, silent_s: float) -> HostFacts:
    """What modelscan knows of a host."""
    row = host.row
    ahead = skew_s(row)
    return HostFacts(
        state=host.state,
        reported_state=host.word.state,
        last_seen=text_of(row.last_seen),
        silent_s=round(silent_s, 3),
        interval_s=row.interval_s,
        clock_ahead_s=ahead,
        drained=row.drained,
        key=row.key,
        version=host.extra.version,
        gpus=tuple(_gpu(one) for one in host.hardware.gpus),
        services=tuple(host.services),
        problems=tuple(skew_problems(ahead)),
    )


def _gpu(gpu: RegisteredGpu) -> dict[str, Any]:
    return dict(msgspec.structs.asdict(gpu))


def service_view(host: NodeHost, service: RegisteredService, facts: ServiceFacts) -> dict[str, Any]:
    """A service in GenieHive's shape, with ``modelscan``: its own fields and these facts."""
    values: dict[str, Any] = msgspec.to_builtins(service)
    own = values.pop("modelscan") or {}
    values["host_id"] = host.name
    values["state"]["health"] = believed_health(service.state.health, facts.probed_health)
    if facts.host_state != "ready":
        values["state"]["accept_requests"] = False
    return {
        **values,
        "updated_at": host.row.registered_at,
        "modelscan": {**own, **{name: getattr(facts, name) for name in _FACTS}},
    }


def believed_health(reported: str, probed: str) -> str:
    """The worse of the two: a node cannot report away that its service does not answer."""
    return "unhealthy" if probed == HealthState.DOWN.value else reported


def cluster_health(hosts: Sequence[NodeHost], services: Sequence[ServiceFacts]) -> ClusterHealth:
    """The counts; ``services``: those of hosts that have not left."""
    states = [host.state for host in hosts]
    healthy = sum(_is_healthy(one) for one in services)
    present = len(states) - states.count("left")
    sick = "stale" in states or healthy < len(services)
    return ClusterHealth(
        status="ok",
        state="degraded" if sick else "ok",
        host_count=present,
        online_host_count=states.count("ready") + states.count("draining"),
        stale_host_count=states.count("stale"),
        service_count=len(services),
        healthy_service_count=healthy,
        draining_host_count=states.count("draining"),
        left_host_count=states.count("left"),
        routable_service_count=sum(one.routable for one in services),
    )


def _is_healthy(facts: ServiceFacts) -> bool:
    believed = believed_health(facts.reported_health, facts.probed_health)
    return facts.host_state in ("ready", "draining") and believed == "healthy"
