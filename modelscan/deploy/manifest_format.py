"""The format of ``deployment.yaml`` as types: its keys, its JSON Schema and its documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from modelscan.core.container import ContainerRuntime
from modelscan.core.workload import Backend

# YAML reads 2070 as a number and on as true: a key that is text takes them as they are written.
Text = str | int | float
Scalar = str | int | float | bool | None


def _help(text: str) -> Mapping[str, str]:
    return {"help": text}


@dataclass(frozen=True, slots=True)
class DeploymentFields:
    """The options of ``modelscan deploy``; those of the command line override them."""

    model: Text = field(metadata=_help("A model, as for `modelscan deploy MODEL`."))
    name: Text | None = field(default=None, metadata=_help("The deployment's name."))
    target: Text | None = field(
        default=None, metadata=_help("local, gpustack, auto or the name of a target.")
    )
    gpu: Text | None = field(
        default=None, metadata=_help("GPUs as `modelscan gpu` numbers them, or a GPU to plan for.")
    )
    quantization: Text | None = field(
        default=None, metadata=_help("For example Q4_K_M, FP8, INT4.")
    )
    backend: Backend | None = field(default=None, metadata=_help("The engine."))
    backend_version: Text | None = field(default=None, metadata=_help("The engine's version."))
    kv_cache: Text | None = field(
        default=None, metadata=_help("The type of the KV cache: TYPE or KEYS,VALUES.")
    )
    flash_attention: Literal["on", "off", "auto"] | bool | None = field(
        default=None, metadata=_help("on, off or auto.")
    )
    mode: Literal["standard", "throughput", "latency"] | None = field(
        default=None, metadata=_help("What to tune for.")
    )
    goal: Literal["quality", "speed", "context"] | None = field(
        default=None, metadata=_help("What the plan prefers.")
    )
    source: Literal["huggingface", "modelscope", "local_path"] | None = field(
        default=None, metadata=_help("The hub.")
    )
    api_key: Text | None = field(
        default=None, metadata=_help("A reference: env:NAME or file:PATH, never the key itself.")
    )
    image_name: Text | None = field(
        default=None, metadata=_help("Clusters: the container's image.")
    )
    run_command: Text | None = field(
        default=None, metadata=_help("Clusters: the command of a custom engine.")
    )
    placement_strategy: Literal["spread", "binpack"] | None = field(
        default=None, metadata=_help("Clusters: placement.")
    )
    context: Text | None = field(
        default=None, metadata=_help("Tokens that one request may use: 8192 or 32k.")
    )
    port: int | None = field(default=None, metadata=_help("The port to listen on."))
    parallel: int | None = field(default=None, metadata=_help("Requests served at once."))
    tensor_parallel: int | None = field(
        default=None, metadata=_help("GPUs that share every layer.")
    )
    replicas: int | None = field(default=None, metadata=_help("Clusters: number of instances."))
    memory_utilization: float | None = field(
        default=None, metadata=_help("The share of a GPU's memory: 0.9.")
    )
    timeout: float | None = field(
        default=None, metadata=_help("Seconds to wait until it is ready.")
    )
    route: bool | None = field(
        default=None, metadata=_help("Whether to write an entry into the routing file.")
    )
    expose: bool | None = field(
        default=None, metadata=_help("Whether other machines may connect; needs api_key.")
    )
    embedding: bool | None = field(default=None, metadata=_help("Whether to serve embeddings."))
    restart_on_error: bool | None = field(
        default=None, metadata=_help("Clusters: whether to restart after an error.")
    )
    allow_unsafe: bool | None = field(
        default=None, metadata=_help("Whether to load pickle files and a repository's code.")
    )
    offline_after_download: bool | None = field(
        default=None, metadata=_help("Whether the engine must not reach a hub.")
    )
    runtime: ContainerRuntime | None = field(
        default=None, metadata=_help("docker or podman: run the engine in a container.")
    )
    image: Text | None = field(
        default=None, metadata=_help("The image of that container; default: the official one.")
    )
    ttl: Text | None = field(
        default=None, metadata=_help("Sleep after this time without a request: 600, 10m, 2h.")
    )
    pin: bool | None = field(
        default=None, metadata=_help("Whether it never makes room for another model.")
    )
    priority: int | None = field(
        default=None, metadata=_help("Deployments of a lower priority make room first.")
    )
    group: Text | None = field(
        default=None, metadata=_help("Of a group's members at most one runs.")
    )
    parameters: dict[str, Any] | list[str] | None = field(
        default=None,
        metadata=_help(
            "The engine's own long options. true or empty: a bare flag; false: left out; "
            "a mapping is sent as JSON."
        ),
    )
    adapters: list[Any] | None = field(
        default=None, metadata=_help("LoRA adapters: REPO, NAME=REPO or {NAME: REPO}.")
    )
    env: dict[str, Scalar] | None = field(
        default=None, metadata=_help("Clusters: the engine's environment variables.")
    )
    worker_selector: dict[str, Scalar] | None = field(
        default=None, metadata=_help("Clusters: labels of the workers.")
    )
    speculative_config: dict[str, Any] | None = field(
        default=None, metadata=_help("Clusters: speculative decoding.")
    )
    extended_kv_cache: dict[str, Any] | None = field(
        default=None, metadata=_help("Clusters: cache in host memory.")
    )


@dataclass(frozen=True, slots=True)
class DeploymentDocument:
    """deployment.yaml: a deployment as a file, for ``modelscan deploy -f FILE``."""

    deployment: DeploymentFields = field(metadata=_help("The options."))
    version: Literal[1] = field(default=1, metadata=_help("The version of this format."))
    metadata: Mapping[str, Any] | None = field(
        default=None, metadata=_help("Your own notes; sent nowhere.")
    )
