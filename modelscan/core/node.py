"""What a node reports to the control plane: its host, its services, their assets and measurements.

The names are those of GenieHive's wire, so that its node and its scripts work unchanged; what
modelscan's own nodes add is in the fields named ``modelscan``. Unknown fields are ignored; a value
of another kind is an error that names its place. Latencies are in milliseconds, memory in bytes,
speeds in tokens per second; None is unknown. Times of a node's own clock are only compared with
each other: what counts is when a message arrived.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

MAX_SERVICES, MAX_ASSETS, MAX_GPUS = 256, 256, 64
INTERVAL_S = 10.0  # between two heartbeats, of a node that states none

NodeName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
NodeText = Annotated[str, Meta(max_length=500)]
NodeCount = Annotated[int, Meta(ge=0, le=2**53)]
NodeNumber = Annotated[float, Meta(ge=0, le=1e15)]
NodeSeconds = Annotated[float, Meta(ge=0.05, le=3600)]
NodeState = Literal["ready", "draining", "stale", "left"]

T = TypeVar("T")


class NodeGpu(msgspec.Struct, kw_only=True):
    """A device of a node; ``promised_bytes``: reserved for deployments."""

    index: NodeCount
    name: NodeText
    vendor: NodeText | None = None
    uuid: NodeText | None = None
    memory_bytes: NodeCount | None = None
    free_bytes: NodeCount | None = None
    promised_bytes: NodeCount | None = None
    utilization_percent: NodeNumber | None = None


class NodeExtra(msgspec.Struct, kw_only=True):
    """What modelscan's nodes add to each message.

    ``instance_id``: random, made once per installation and kept: another machine has another one.
    ``session_id``: random, per start of the node. ``sequence`` grows with every message of a
    session; a smaller one is a repeated message. ``interval_s``: until the next heartbeat.
    ``access_key``: what the control plane sends as ``Authorization: Bearer`` to the node's
    endpoints; only in a registration, and only over TLS or on one machine.
    """

    instance_id: NodeName | None = None
    session_id: NodeName | None = None
    sequence: NodeCount | None = None
    interval_s: NodeSeconds | None = None
    version: NodeText | None = None
    access_key: NodeText | None = None
    gpus: Annotated[list[NodeGpu], Meta(max_length=MAX_GPUS)] | None = None


class AssetPolicy(msgspec.Struct, kw_only=True):
    """Changes to the bodies of requests for an asset, as in the routing file."""

    body_defaults: dict[str, Any] = {}
    system_prompt: Annotated[str, Meta(max_length=100_000)] | None = None
    system_prompt_position: Literal["prepend", "append", "replace"] = "prepend"


class AssetExtra(msgspec.Struct, kw_only=True):
    """``model``: the asset's id in the catalog; ``deployment``: the node's own name for it."""

    model: NodeName | None = None
    deployment: NodeName | None = None
    quantization: NodeText | None = None
    family: NodeText | None = None


class NodeAsset(msgspec.Struct, kw_only=True):
    """A model of a service: ``asset_id`` is the name that its server expects in a request.

    ``context_size``: tokens that one request may use; ``max_context_tokens``: what the model could.
    """

    asset_id: NodeName
    loaded: bool | None = None
    context_size: NodeCount | None = None
    max_context_tokens: NodeCount | None = None
    request_policy: AssetPolicy = msgspec.field(default_factory=AssetPolicy)
    modelscan: AssetExtra | None = None


class ServiceRuntime(msgspec.Struct, kw_only=True):
    """The program that serves."""

    engine: NodeText | None = None
    launcher: NodeText | None = None
    provider_id: NodeText | None = None
    context_size: NodeCount | None = None
    max_context_tokens: NodeCount | None = None


class ServiceState(msgspec.Struct, kw_only=True):
    """What a node states of its service. ``accept_requests`` false: it gets no new ones."""

    health: NodeText = "unknown"
    load_state: NodeText = "unknown"
    accept_requests: bool = True
    availability: NodeText = "available"
    allow_employee_direct_requests: bool = False


class ServiceMeasurements(msgspec.Struct, kw_only=True):
    """A service's recent figures, from its engine's own metrics or from its node's receipts."""

    p50_latency_ms: NodeNumber | None = None
    p95_latency_ms: NodeNumber | None = None
    tokens_per_sec: NodeNumber | None = None
    queue_depth: NodeCount | None = None
    in_flight: NodeCount | None = None
    loaded_model_count: NodeCount | None = None
    max_context_tokens: NodeCount | None = None
    vram_used_bytes: NodeCount | None = None


class ServiceExtra(msgspec.Struct, kw_only=True):
    """What modelscan's nodes add to a service; ``kv_cache_used``: 0..1."""

    dialects: tuple[Literal["messages", "responses"], ...] = ()
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    tags: Annotated[tuple[NodeName, ...], Meta(max_length=64)] = ()
    ttft_ms: NodeNumber | None = None
    kv_cache_used: Annotated[float, Meta(ge=0, le=1)] | None = None


class NodeService(msgspec.Struct, kw_only=True):
    """A server of a node. ``endpoint`` is its root, with or without ``/v1``."""

    service_id: NodeName
    host_id: NodeName | None = None
    kind: NodeName = "chat"
    protocol: NodeName = "openai"
    endpoint: Annotated[str, Meta(min_length=1, max_length=2000)]
    runtime: ServiceRuntime = msgspec.field(default_factory=ServiceRuntime)
    assets: Annotated[list[NodeAsset], Meta(max_length=MAX_ASSETS)] = []
    state: ServiceState = msgspec.field(default_factory=ServiceState)
    observed: ServiceMeasurements = msgspec.field(default_factory=ServiceMeasurements)
    modelscan: ServiceExtra | None = None


class ServiceReport(msgspec.Struct, kw_only=True):
    """What a heartbeat may say of a registered service; a part that is left out stays as it was.

    A new service, another endpoint or kind needs a registration.
    """

    service_id: NodeName
    state: ServiceState | None = None
    observed: ServiceMeasurements | None = None
    assets: Annotated[list[NodeAsset], Meta(max_length=MAX_ASSETS)] | None = None
    modelscan: ServiceExtra | None = None


class NodeClock(msgspec.Struct, kw_only=True):
    """The node's own word for its state, and its clock when it sent the message (UNIX time)."""

    state: NodeText = "online"
    last_seen: Annotated[float, Meta(ge=-1e12, le=1e12)] | None = None


class NodeRegistration(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/register``: the host with all of its services; it replaces earlier ones."""

    host_id: NodeName
    display_name: NodeText | None = None
    address: NodeText | None = None
    labels: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    services: Annotated[list[NodeService], Meta(max_length=MAX_SERVICES)] = []
    status: NodeClock | None = None
    modelscan: NodeExtra | None = None


class NodeHeartbeat(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/heartbeat``. 404: the host, or a service, is unknown: register again."""

    host_id: NodeName
    status: NodeClock = msgspec.field(default_factory=NodeClock)
    metrics: dict[str, Any] = {}
    services: Annotated[list[ServiceReport], Meta(max_length=MAX_SERVICES)] | None = None
    modelscan: NodeExtra | None = None


class NodeLeave(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/leave``: the host stops; its services get no requests any more."""

    host_id: NodeName
    modelscan: NodeExtra | None = None


def read_message(kind: type[T], data: bytes) -> T:
    """A node's message. Raises msgspec.ValidationError (with the place) or DecodeError."""
    return msgspec.json.decode(data, type=kind)
