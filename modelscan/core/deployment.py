"""A deployment's record: one type for Python, the database rows and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.container import ContainerRuntime
from modelscan.core.deployment_state import Health, RestartPolicy, State
from modelscan.core.end_cause import EndCause
from modelscan.core.evaluation import Evaluation
from modelscan.core.jsonform import Tagged
from modelscan.core.launch import Launch, OllamaLaunch
from modelscan.core.limits import NO_LIMITS, Limits
from modelscan.core.plan import Plan
from modelscan.core.swap_policy import NO_SWAP_POLICY, SwapPolicy
from modelscan.core.workload import Workload


@dataclass(frozen=True, slots=True)
class MeasuredParts:
    """Bytes by purpose as reported by the engine; None: not reported."""

    weights_bytes: int | None = None
    kv_cache_bytes: int | None = None
    kv_pool_bytes: int | None = None  # reserved by vLLM and SGLang
    recurrent_state_bytes: int | None = None
    compute_bytes: int | None = None
    output_bytes: int | None = None
    non_torch_bytes: int | None = None
    cuda_graph_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ComputedEstimate:
    """The computed figures, stored where the deployment's estimate is the engine's dry run."""

    total_bytes: int
    margin_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What the engine reported after it was ready. ``source``: engine_log | engine_metrics |
    ollama_ps; None: nothing was reported."""

    source: str | None = None
    parts: MeasuredParts | None = None
    total_bytes: int | None = None
    devices: Mapping[str, MeasuredParts] | None = None
    load_s: float | None = None
    import_s: float | None = None
    engine_version: str | None = None
    rss_bytes: int | None = None
    vram_bytes: int | None = None
    kv_tokens: int | None = None
    max_concurrency: float | None = None
    computed: ComputedEstimate | None = None


class RemoteRecord(Tagged):
    """The base class of the records about remote servers."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance on a cluster."""

    id: int
    name: str
    state: str  # the server's own term
    worker: str | None = None
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterRecord(RemoteRecord):
    """``row`` is the server's model row after our last change (in its format)."""

    model_id: int | None = None
    evaluation: Evaluation | None = None
    row: Mapping[str, Any] = field(default_factory=dict)
    log: tuple[str, ...] | None = None  # the last log lines of a failed start
    instances: tuple[Replica, ...] = ()
    kind: Literal["cluster"] = "cluster"


@dataclass(frozen=True, slots=True)
class OllamaRecord(RemoteRecord):
    """``made``: the model created on the server; ``making``: a create that may be incomplete."""

    made: OllamaLaunch | None = None
    making: OllamaLaunch | None = None
    kind: Literal["ollama"] = "ollama"


@dataclass(frozen=True, slots=True)
class FoundRecord(RemoteRecord):
    """A server discovered on this machine."""

    engine_version: str | None = None
    path: str | None = None
    kind: Literal["found"] = "found"


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """The request of a user; repeating it changes nothing.

    ``changed_at`` is set when ``update`` has changed the deployment since.
    """

    model: str
    target: str = "local"
    workload: Workload = field(default_factory=Workload)
    gpu: str | None = None
    port: int | None = None
    expose: bool = False
    api_key: str | None = None  # a reference
    route: bool = True
    restart: RestartPolicy | None = None
    ttl_s: float | None = None
    limits: Limits = NO_LIMITS
    offline_after_download: bool = False
    runtime: ContainerRuntime | None = None  # None: a process
    image: str | None = None  # instead of the engine's official one
    cluster: Mapping[str, Any] = field(default_factory=dict)
    swap: SwapPolicy = NO_SWAP_POLICY
    changed_at: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """The record of one deployment.

    ``plan`` is what was launched, ``measured`` what the engine reported, ``launch`` how its target
    starts it. ``run_id`` identifies one start; processes of other runs do not belong to it. ``pid``
    is only valid together with ``pid_started_at`` (epoch seconds), because pids are reused.
    """

    name: str
    model: str
    target: str  # local | the name of a configured target
    backend: str  # open set: other servers have other engines
    quantization: str | None
    state: State
    endpoint: str | None  # the server's root URL; clients append /v1
    context_tokens: int | None
    gpus: tuple[int, ...]
    created_at: str  # RFC 3339 UTC
    updated_at: str
    served_model: str | None = None
    reason: str | None = None  # text for people: the end cause and the engine's message
    end_cause: EndCause | None = None  # None while it runs
    task: str = "chat"
    pid: int | None = None
    pid_started_at: float | None = None
    port: int | None = None
    api_key: str | None = None  # a reference (env:, file:), never a key
    log_path: str | None = None
    managed: bool = True
    health: Health | None = None
    plan: Plan | None = None
    measured: Measured | None = None
    remote: RemoteRecord | None = None
    request: DeployRequest | None = None
    launch: Launch | None = None
    run_id: str | None = None
    route: str | None = None  # its entry in the routing file; None: no route
    routed: bool = False  # the entry is written and enabled
    started_at: str | None = None  # when it last became ready
    restart: RestartPolicy | None = None  # when a crashed engine is restarted
    restarts: int = 0  # restarts of this start, by its supervisor
    ttl_s: float | None = None  # seconds without a request after which it ends
    drift: tuple[str, ...] = ()  # fields changed at the target since our last change
    wakes: bool = False  # it was put to sleep, and is not ready again yet

    @property
    def asleep(self) -> bool:
        """Whether it does not run, or not yet, and a request through the gateway starts it."""
        idle = self.state is State.STOPPED and self.end_cause is EndCause.IDLE  # of older rows too
        return idle or (self.wakes and self.state is not State.RUNNING)

    @property
    def swap(self) -> SwapPolicy:
        """How it shares this machine's memory."""
        return NO_SWAP_POLICY if self.request is None else self.request.swap

    @property
    def pin(self) -> bool:
        """Whether it never makes room for another deployment."""
        return self.swap.pin

    @property
    def priority(self) -> int:
        """Deployments of a lower priority make room first."""
        return self.swap.priority

    @property
    def group(self) -> str | None:
        """The group of which at most one member runs."""
        return self.swap.group
