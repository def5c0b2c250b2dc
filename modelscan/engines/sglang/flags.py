"""SGLang's options: their names by meaning and by version, and those of a plan.

Sources: the server arguments of 0.5.23 and the arguments that published logs print (0.4 to 0.5).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.option_names import (
    NO_FILE_OF_OPTIONS,
    USE_EXPOSE,
    USE_KEY,
    USE_MODEL,
    USE_PORT,
    LaunchSettings,
    OptionNames,
    OptionPair,
)
from modelscan.engines.pool_engine import cache_type, common_options, remote_code, serves_vectors
from modelscan.engines.sglang.adapters import adapter_options

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.engines.versions import Version

LORA_SWITCH_SINCE: Version = (0, 4, 9)  # before, --lora-paths alone was enough
_FP8 = "fp8_e5m2"  # plain "fp8" is vLLM's name

NAMES = OptionNames(
    context=("context-length",),
    max_requests=("max-running-requests",),
    tensor_parallel=("tp-size", "tp", "tensor-parallel-size"),
    pipeline_parallel=("pp-size",),
    memory_share=("mem-fraction-static",),
    kv_cache=("kv-cache-dtype",),
    positions=("json-model-override-args",),
    memory=(
        "cpu-offload-gb", "dtype", "enable-lora", "max-total-tokens", "chunked-prefill-size",
        "cuda-graph-max-bs", "disable-cuda-graph", "page-size", "mamba-full-memory-ratio",
        "max-mamba-cache-size", "swa-full-tokens-ratio", "disable-hybrid-swa-memory",
        "disable-radix-cache", "cuda-graph-bs", "cuda-graph-bs-decode", "cuda-graph-max-bs-decode",
        "disable-decode-cuda-graph", "speculative-algorithm", "is-embedding", "max-loras-per-batch",
        "max-lora-rank",
    ),
)  # fmt: skip
# Reviewed against the server arguments of 0.5.19: they allocate nothing on a GPU.
HARMLESS = frozenset({
    "model-path", "model", "tokenizer-mode", "tokenizer-path", "trust-remote-code", "load-format",
    "skip-server-warmup", "schedule-policy", "schedule-conservativeness", "stream-output",
    "stream-interval", "sleep-on-idle", "disable-custom-all-reduce", "disable-overlap-schedule",
    "enable-overlap-schedule", "max-queued-requests", "preferred-sampling-params", "dist-init-addr",
    "nnodes", "node-rank", "nccl-init-addr", "nccl-port", "warmups", "disable-outlines-disk-cache",
    "enable-p2p-check", "gc-threshold", "allow-auto-truncate", "incremental-streaming-output",
    "enable-cache-report", "ep-size", "ep", "expert-parallel-size", "enable-ep-moe",
    "show-time-cost", "random-seed", "weight-version", "model-loader-extra-config",
    "weight-loader-disable-mmap", "numa-node", "lora-paths", "enable-cudagraph-gc",
    "disable-cuda-graph-padding", "radix-eviction-policy", "disable-chunked-prefix-cache",
    "tokenizer-worker-num", "detokenizer-worker-num", "base-gpu-id", "gpu-id-step",
})  # fmt: skip

OWNED = {
    **dict.fromkeys(("host", "fastapi-root-path", "ssl-keyfile", "ssl-certfile", "ssl-ca-certs",
                     "ssl-keyfile-password"), USE_EXPOSE),
    **dict.fromkeys(("model-path", "model"), USE_MODEL),
    "port": USE_PORT, "api-key": USE_KEY, "admin-api-key": USE_KEY, "config": NO_FILE_OF_OPTIONS,
}  # fmt: skip


def options(launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
    """The options of a plan."""
    yield from common_options(NAMES, launch)
    kind = cache_type(workload)
    if kind:
        yield NAMES.kv_cache[0], _FP8 if kind == "fp8" else kind
    if launch.dtype:
        yield "dtype", launch.dtype
    if launch.online:  # whose loader has the method's name
        yield "quantization", launch.online.name
        yield "load-format", launch.online.name
    scaling = launch.positions
    if scaling is not None:  # a text_config is of a version that has rope_parameters
        name = "rope_parameters" if scaling.nested else "rope_scaling"
        yield NAMES.positions[0], scaling.override(name, theta=scaling.nested)
    if serves_vectors(launch, workload):
        yield "is-embedding", None
    if workload.adapters:
        yield "enable-lora", None
        yield from adapter_options(launch.adapters)
    yield from remote_code(workload)
