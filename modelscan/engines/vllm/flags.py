"""vLLM's options: their names by meaning and by version, and those of a plan.

Sources: vLLM's release notes and ``vllm serve --help`` of 0.32.0; older spellings from published
start-up logs (0.6 to 0.28), which print the arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.command_line import Rename
from modelscan.engines.option_names import (
    NO_FILE_OF_OPTIONS,
    NO_HUB_KEY,
    USE_EXPOSE,
    USE_KEY,
    USE_MODEL,
    USE_PORT,
    LaunchSettings,
    OptionNames,
    OptionPair,
    Options,
)
from modelscan.engines.pool_engine import cache_type, common_options, remote_code, serves_vectors
from modelscan.engines.versions import Version, parse_version
from modelscan.engines.vllm.adapters import adapter_options

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.position_scaling import PositionScaling

RUNNER_SINCE: Version = (0, 10, 1)  # ``--runner pooling`` replaced ``--task embed|score``
AUTO_CONTEXT_SINCE: Version = (0, 14, 0)  # vllm-project/vllm#29431: as long as the pool holds
OVERRIDES_SINCE: Version = (0, 11, 1)  # --rope-scaling is gone (vllm-project/vllm#28006)
QUIET_LOG_SINCE: Version = (0, 10, 1)  # prompts are logged only on --enable-log-requests

NAMES = OptionNames(
    context=("max-model-len",),
    max_requests=("max-num-seqs",),
    tensor_parallel=("tensor-parallel-size",),
    pipeline_parallel=("pipeline-parallel-size",),
    memory_share=("gpu-memory-utilization",),
    kv_cache=("kv-cache-dtype",),
    positions=("hf-overrides", "rope-scaling"),
    memory=(
        "cpu-offload-gb", "dtype", "enable-lora", "max-num-batched-tokens", "enforce-eager",
        "kv-cache-memory-bytes", "num-gpu-blocks-override", "max-loras", "max-lora-rank",
        "decode-context-parallel-size", "disable-hybrid-kv-cache-manager",
        "max-cudagraph-capture-size", "mamba-ssm-cache-dtype", "no-enable-prefix-caching",
        "enable-prefix-caching", "kv-cache-memory", "block-size", "cudagraph-capture-sizes",
        "cuda-graph-sizes", "swap-space", "runner", "task", "speculative-config",
        "compilation-config", "limit-mm-per-prompt", "skip-mm-profiling", "language-model-only",
    ),
)  # fmt: skip
# Reviewed against ``vllm serve --help`` of 0.32.0: they allocate nothing on a GPU, or move whole
# experts where the estimate moves equal slices of them.
HARMLESS = frozenset({
    "model", "tokenizer-mode", "trust-remote-code", "enable-expert-parallel", "load-format",
    "config-format", "hf-config-path", "generation-config", "override-generation-config",
    "distributed-executor-backend", "disable-custom-all-reduce", "max-parallel-loading-workers",
    "enable-chunked-prefill", "max-num-partial-prefills", "max-long-partial-prefills",
    "long-prefill-token-threshold", "scheduling-policy", "async-scheduling", "no-async-scheduling",
    "max-seq-len-to-capture", "safetensors-load-strategy", "enable-server-load-tracking",
    "model-loader-extra-config", "ignore-patterns", "use-tqdm-on-load", "node-rank", "nnodes",
    "master-addr", "master-port", "headless", "uds", "disable-async-output-proc",
    "enable-prompt-tokens-details", "enable-force-include-usage", "served-model-name",
    "numa-bind", "numa-bind-nodes", "numa-bind-cpus",
    "prefix-caching-hash-algo", "disable-cascade-attn", "lora-modules", "fully-sharded-loras",
    "max-cpu-loras", "shutdown-timeout", "renderer-num-workers", "api-server-count",
})  # fmt: skip

JSON_LISTS = frozenset({"allowed-origins", "allowed-methods", "allowed-headers"})

OWNED = {
    **dict.fromkeys(("host", "uds", "root-path", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs"),
                    USE_EXPOSE),
    **dict.fromkeys(("model", "model-tag"), USE_MODEL),
    "port": USE_PORT, "api-key": USE_KEY, "config": NO_FILE_OF_OPTIONS, "hf-token": NO_HUB_KEY,
}  # fmt: skip


def _runner(task: str | None) -> Options:
    return (("runner", "generate" if task == "generate" else "pooling"),)


# From the version named, the option of that name is spelled another way or gone.
RENAMES = (
    Rename("task", RUNNER_SINCE, _runner),
    Rename("disable-log-requests", QUIET_LOG_SINCE, lambda _: ()),
)


def options(launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
    """The options of a plan, in the spelling of ``workload.backend_version``."""
    version = parse_version(workload.backend_version)
    yield from common_options(NAMES, launch)
    if launch.unknown_context:
        tokens = "auto" if version >= AUTO_CONTEXT_SINCE else str(launch.context_tokens)
        yield NAMES.context[0], tokens
    kind = cache_type(workload)
    if kind:
        yield NAMES.kv_cache[0], kind
    if launch.dtype:
        yield "dtype", launch.dtype
    if launch.online:
        yield "quantization", launch.online.name
    if launch.positions is not None:
        yield _positions(launch.positions, version)
    if serves_vectors(launch, workload):
        yield from _pooling(version, launch.task)
    if workload.adapters:
        yield "enable-lora", None
        yield "max-loras", str(len(workload.adapters))
        yield from adapter_options(launch.adapters, workload.backend_version)
    yield from remote_code(workload)


def _positions(scaling: PositionScaling, version: Version) -> OptionPair:
    if version < OVERRIDES_SINCE:
        return "rope-scaling", json.dumps(scaling.parameters(theta=False), separators=(",", ":"))
    return "hf-overrides", scaling.override("rope_parameters")


def environment(launch: LaunchSettings) -> dict[str, str]:
    """With several position dimensions vLLM does not multiply the trained length by the factor."""
    scaling = launch.positions
    if scaling is None or "mrope_section" not in scaling.stated:
        return {}
    return {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}


def _pooling(version: Version, task: str) -> Options:
    old = "score" if task == "rerank" else "embed"
    return (("task", old),) if version < RUNNER_SINCE else _runner(old)
