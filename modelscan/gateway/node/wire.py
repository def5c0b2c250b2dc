"""What a node sends to its control plane: the shapes of GenieHive's wire, and more. Pure.

Everything outside of ``modelscan`` has GenieHive's names and meaning, so that its own control plane
understands a node of modelscan. ``modelscan`` has what its shapes have no place for. A heartbeat
repeats the states and figures of the services; GenieHive's has only counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

REGISTER, HEARTBEAT, LEAVE = "/v1/nodes/register", "/v1/nodes/heartbeat", "/v1/nodes/leave"
KEY_HEADER = "X-GenieHive-Node-Key"  # in addition to Authorization: both have the same key

Via = Literal["gateway", "engine"]
"""Requests to a service go to the node's own gateway, or to the engine itself."""


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """``model``: as the routing file or the engine names it, e.g. a catalog id."""

    model: str | None = None
    quantization: str | None = None
    family: str | None = None
    size_bytes: int | None = None
    vram_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NodeAsset:
    """A model of a service. ``asset_id`` is the name that requests send; tokens are of one request.

    ``loaded`` None: not known.
    """

    asset_id: str
    loaded: bool | None
    context_size: int | None
    max_context_tokens: int | None
    modelscan: AssetFacts = field(default_factory=AssetFacts)


@dataclass(frozen=True, slots=True)
class NodeServiceRuntime:
    """``launcher``: modelscan, or external for an engine that something else started."""

    engine: str | None
    launcher: Literal["modelscan", "external"]
    context_size: int | None = None
    max_context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class NodeServiceState:
    """Health and readiness as the node sees them; the control plane's own probes are separate."""

    health: Literal["healthy", "unhealthy", "unknown"]
    load_state: Literal["loaded", "cold", "unknown"]
    accept_requests: bool


@dataclass(frozen=True, slots=True)
class NodeServiceFigures:
    """Milliseconds, tokens per second of one request, requests, bytes; None: not measured.

    ``source``: the engine's own metrics, or the receipts of the node's gateway.
    """

    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_sec: float | None = None
    queue_depth: int | None = None
    in_flight: int | None = None
    loaded_model_count: int | None = None
    vram_used_bytes: int | None = None
    kv_cache_used: float | None = None
    source: Literal["engine_metrics", "receipts"] | None = None


@dataclass(frozen=True, slots=True)
class NodeServiceFacts:
    """``operations`` None: not known. ``reason``: why no requests are accepted."""

    via: Via
    operations: tuple[str, ...] | None = None
    dialects: tuple[str, ...] = ()
    max_in_flight: int | None = None
    tags: tuple[str, ...] = ()
    deployment: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class NodeService:
    """One server of the node with its models. ``service_id`` is the host's id, kind and name."""

    service_id: str
    host_id: str
    kind: str
    protocol: Literal["openai"]
    endpoint: str
    runtime: NodeServiceRuntime
    assets: tuple[NodeAsset, ...]
    state: NodeServiceState
    observed: NodeServiceFigures
    modelscan: NodeServiceFacts


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A weight file in a folder of the node. Facts of its header; None: it cannot be read."""

    path: str
    name: str
    size_bytes: int
    architecture: str | None = None
    context_tokens: int | None = None
    quantization: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class NodeGpu:
    """One device of the node."""

    index: int
    name: str
    vendor: str
    memory_bytes: int | None
    free_bytes: int | None
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class NodeHardware:
    """The node's devices and host; bytes."""

    gpus: tuple[NodeGpu, ...]
    cpus: int | None
    memory_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True)
class NodeSession:
    """One run of a node's agent. ``instance`` is random per run, ``sequence`` grows with each
    message of it: a repeated or an older message is recognised. ``beat_s``: seconds between two.

    ``endpoint_key`` is the key that the node's gateway requires (None: none), for requests to
    ``gateway`` only. ``sent_at``: the node's own clock, UNIX time.
    """

    instance: str
    sequence: int
    beat_s: float
    sent_at: float
    version: str
    gateway: str | None = None
    endpoint_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """All that a node says about itself, apart from the session."""

    host_id: str
    display_name: str
    address: str
    labels: dict[str, str]
    hardware: NodeHardware
    files: tuple[NodeFile, ...]
    services: tuple[NodeService, ...]


def registration(report: NodeReport, session: NodeSession) -> dict[str, Any]:
    """The body of a registration."""
    from modelscan.core.jsonform import to_json

    hardware = report.hardware
    vendors = {gpu.vendor for gpu in hardware.gpus}
    return {
        "host_id": report.host_id,
        "display_name": report.display_name,
        "address": report.address,
        "labels": dict(sorted(report.labels.items())),
        "capabilities": {"cpu": True, "cuda": "nvidia" in vendors,
                         **dict.fromkeys(sorted(vendors), True)},
        "resources": {
            "cpu_threads": hardware.cpus,
            "ram_gb": _gib(hardware.memory_bytes),
            "gpus": to_json(hardware.gpus),
            "discovered_models": to_json(report.files),
        },
        "services": to_json(report.services),
        "modelscan": {**to_json(session), "hardware": to_json(hardware)},
    }  # fmt: skip


def heartbeat(report: NodeReport, session: NodeSession) -> dict[str, Any]:
    """The body of a heartbeat."""
    from modelscan.core.jsonform import to_json

    services = report.services
    healthy = sum(one.state.health == "healthy" for one in services)
    rows = [
        {"service_id": one.service_id, "state": to_json(one.state),
         "observed": to_json(one.observed)}
        for one in services
    ]  # fmt: skip
    return {
        "host_id": report.host_id,
        "status": {"state": "online", "last_seen": session.sent_at},
        "metrics": {
            "service_count": len(services),
            "healthy_service_count": healthy,
            "discovered_model_count": len(report.files),
            "free_memory_bytes": report.hardware.free_bytes,
            "gpu_free_bytes": [gpu.free_bytes for gpu in report.hardware.gpus],
        },
        "modelscan": {**to_json(session), "endpoint_key": None, "services": rows},
    }


def leaving(host_id: str, session: NodeSession | None = None) -> dict[str, Any]:
    """The body of a node's last message; without a session it is another command's."""
    from modelscan.core.jsonform import to_json

    about = None if session is None else {**to_json(session), "endpoint_key": None}
    return {"host_id": host_id, "modelscan": about}


def needs_registration(before: NodeReport | None, after: NodeReport) -> bool:
    """Whether something changed that a heartbeat does not carry."""
    return before is None or _lasting(before) != _lasting(after)


def _lasting(report: NodeReport) -> object:
    hardware = report.hardware
    devices = tuple((gpu.index, gpu.name, gpu.uuid, gpu.memory_bytes) for gpu in hardware.gpus)
    services = tuple(
        (one.service_id, one.endpoint, one.runtime, one.assets, one.modelscan)
        for one in report.services
    )
    about = (report.host_id, report.display_name, report.address, report.labels)
    return about, devices, hardware.cpus, hardware.memory_bytes, report.files, services


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / (1 << 30), 1)
