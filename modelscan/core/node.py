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
NodeTime = Annotated[float, Meta(ge=-1e12, le=1e12)]
NodeState = Literal["ready", "draining", "stale", "left"]

T = TypeVar("T")


class RegisteredGpu(msgspec.Struct, kw_only=True):
    """A device of a node; ``promised_bytes``: reserved for deployments."""

    index: NodeCount
    name: NodeText
    vendor: NodeText | None = None
    uuid: NodeText | None = None
    memory_bytes: NodeCount | None = None
    free_bytes: NodeCount | None = None
    promised_bytes: NodeCount | None = None


class RegisteredHardware(msgspec.Struct, kw_only=True):
    """The devices and the host of a node."""

    gpus: Annotated[list[RegisteredGpu], Meta(max_length=MAX_GPUS)] = []
    cpus: NodeCount | None = None
    memory_bytes: NodeCount | None = None
    free_bytes: NodeCount | None = None


class AssetPolicy(msgspec.Struct, kw_only=True):
    """Changes to the bodies of requests for an asset, as in the routing file."""

    body_defaults: dict[str, Any] = {}
    system_prompt: Annotated[str, Meta(max_length=100_000)] | None = None
    system_prompt_position: Literal["prepend", "append", "replace"] = "prepend"


class AssetExtra(msgspec.Struct, kw_only=True):
    """``model``: as the catalog, the node's routing file or its engine names it."""

    model: NodeName | None = None
    quantization: NodeText | None = None
    family: NodeText | None = None


class RegisteredAsset(msgspec.Struct, kw_only=True):
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


class ServiceFigures(msgspec.Struct, kw_only=True):
    """A service's recent figures; ``source``: the engine's metrics, or receipts of its gateway."""

    p50_latency_ms: NodeNumber | None = None
    p95_latency_ms: NodeNumber | None = None
    ttft_ms: NodeNumber | None = None
    tokens_per_sec: NodeNumber | None = None
    queue_depth: NodeCount | None = None
    in_flight: NodeCount | None = None
    loaded_model_count: NodeCount | None = None
    max_context_tokens: NodeCount | None = None
    vram_used_bytes: NodeCount | None = None
    kv_cache_used: Annotated[float, Meta(ge=0, le=1)] | None = None
    source: NodeText | None = None


class ServiceExtra(msgspec.Struct, kw_only=True):
    """What modelscan's nodes add to a service. ``via``: gateway or engine; ``operations`` None: not
    known; ``reason``: why no requests are accepted."""

    via: NodeText | None = None
    operations: Annotated[tuple[NodeName, ...], Meta(max_length=16)] | None = None
    dialects: Annotated[tuple[NodeName, ...], Meta(max_length=4)] = ()
    max_in_flight: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    tags: Annotated[tuple[NodeName, ...], Meta(max_length=64)] = ()
    deployment: NodeName | None = None
    reason: NodeText | None = None


class RegisteredService(msgspec.Struct, kw_only=True):
    """A server of a node. ``endpoint`` is its root, with or without ``/v1``."""

    service_id: NodeName
    host_id: NodeName | None = None
    kind: NodeName = "chat"
    protocol: NodeName = "openai"
    endpoint: Annotated[str, Meta(min_length=1, max_length=2000)]
    runtime: ServiceRuntime = msgspec.field(default_factory=ServiceRuntime)
    assets: Annotated[list[RegisteredAsset], Meta(max_length=MAX_ASSETS)] = []
    state: ServiceState = msgspec.field(default_factory=ServiceState)
    observed: ServiceFigures = msgspec.field(default_factory=ServiceFigures)
    modelscan: ServiceExtra | None = None


class ServiceUpdate(msgspec.Struct, kw_only=True):
    """What a heartbeat may state of a registered service; a part that is left out stays as it was.

    A new service, another endpoint or kind needs a registration.
    """

    service_id: NodeName
    state: ServiceState | None = None
    observed: ServiceFigures | None = None
    assets: Annotated[list[RegisteredAsset], Meta(max_length=MAX_ASSETS)] | None = None
    modelscan: ServiceExtra | None = None


class MessageExtra(msgspec.Struct, kw_only=True):
    """What modelscan's nodes add to each message.

    ``instance``: random, per run of the node's agent; ``sequence`` grows with every message of a
    run: a smaller one is a repeated message. ``beat_s``: seconds until the next heartbeat.
    ``endpoint_key``: what requests to ``gateway``, the node's own one, are sent with; only in a
    registration. ``services``: only in a heartbeat. ``sent_at``: the node's clock.
    """

    instance: NodeName | None = None
    sequence: NodeCount | None = None
    beat_s: NodeSeconds | None = None
    sent_at: NodeTime | None = None
    version: NodeText | None = None
    gateway: Annotated[str, Meta(max_length=2000)] | None = None
    endpoint_key: Annotated[str, Meta(max_length=512, pattern=r"^[\x21-\x7e]+$")] | None = None
    hardware: RegisteredHardware | None = None
    services: Annotated[list[ServiceUpdate], Meta(max_length=MAX_SERVICES)] | None = None


class HostWord(msgspec.Struct, kw_only=True):
    """The node's own word for its state, and its clock when it sent the message (UNIX time)."""

    state: NodeText = "online"
    last_seen: NodeTime | None = None


class Registration(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/register``: the host with all of its services; it replaces earlier ones."""

    host_id: NodeName
    display_name: NodeText | None = None
    address: NodeText | None = None
    labels: dict[str, Any] = {}
    capabilities: dict[str, Any] = {}
    resources: dict[str, Any] = {}
    services: Annotated[list[RegisteredService], Meta(max_length=MAX_SERVICES)] = []
    status: HostWord | None = None
    modelscan: MessageExtra | None = None


class Heartbeat(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/heartbeat``. 404: the host, or a service, is unknown: register again.

    ``services``: all that the host has now, as GenieHive's node sends them where it discovers
    models; empty: nothing changed.
    """

    host_id: NodeName
    status: HostWord = msgspec.field(default_factory=HostWord)
    metrics: dict[str, Any] = {}
    services: Annotated[list[RegisteredService], Meta(max_length=MAX_SERVICES)] = []
    modelscan: MessageExtra | None = None


class Departure(msgspec.Struct, kw_only=True):
    """``POST /v1/nodes/leave``: the host stops; its services get no requests any more."""

    host_id: NodeName
    modelscan: MessageExtra | None = None


_OPEN = ("labels", "capabilities", "resources", "metrics", "body_defaults")  # any JSON


def read_message(kind: type[T], data: bytes) -> T:
    """A node's message. Raises msgspec.ValidationError (with the place) or DecodeError.

    What GenieHive accepts is accepted: a number as text, 3.0 as 3, null for what has a default.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), kind, strict=False)


def _without_nulls(value: Any) -> Any:
    """A message where null is left out; open objects stay as they are."""
    if isinstance(value, list):
        return [_without_nulls(one) for one in value]
    if not isinstance(value, dict):
        return value
    present = {key: one for key, one in value.items() if one is not None}
    return {key: one if key in _OPEN else _without_nulls(one) for key, one in present.items()}
