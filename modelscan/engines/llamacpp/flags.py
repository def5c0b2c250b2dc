"""llama-server's options for a plan, as b11549 spells them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.option_names import (
    NO_HUB_KEY,
    USE_EXPOSE,
    USE_KEY,
    USE_MODEL,
    USE_PORT,
    LaunchSettings,
    OptionNames,
    OptionPair,
)

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

NAMES = OptionNames(
    total_context=("ctx-size", "c"),
    unified=("kv-unified", "kvu"),
    slots=("parallel", "np"),
    kv_cache=("cache-type-k", "ctk", "cache-type-v", "ctv"),
    gpu_layers=("n-gpu-layers", "gpu-layers", "ngl"),
    positions=("rope-scaling", "rope-scale", "rope-freq-scale", "override-kv"),
    memory=(
        "batch-size", "b", "ubatch-size", "ub", "swa-full", "flash-attn", "fa", "n-cpu-moe",
        "ncmoe", "cpu-moe", "cmoe", "tensor-split", "ts", "no-kv-offload", "nkvo", "kv-offload",
        "override-tensor", "ot", "mmproj", "mm", "no-mmproj", "no-mmproj-offload",
        "mmproj-offload", "no-op-offload", "op-offload", "no-kv-unified", "repack", "no-repack",
        "cache-ram", "cram", "spec-type", "spec-draft-model", "model-draft", "md",
        "spec-draft-n-max", "spec-draft-ngl", "spec-draft-type-k", "spec-draft-type-v", "lora",
        "lora-scaled",
    ),
)  # fmt: skip
# Reviewed against the sources of b11549: they allocate nothing, or less than the margin.
HARMLESS = frozenset({
    "model", "threads", "threads-batch", "threads-http", "poll", "numa", "predict", "keep",
    "cont-batching", "no-cont-batching", "cache-prompt", "no-cache-prompt", "cache-reuse",
    "context-shift", "no-context-shift", "warmup", "no-warmup", "jinja", "no-jinja",
    "rope-freq-base", "yarn-orig-ctx", "yarn-ext-factor",
    "yarn-attn-factor", "yarn-beta-fast", "yarn-beta-slow", "top-k", "top-p", "min-p", "props",
    "slots", "no-slots", "slot-save-path", "ui", "no-ui", "sleep-idle-seconds", "check-tensors",
    "load-mode", "fit", "embeddings", "embd-normalize", "pooling", "attention", "rerank",
    "spec-draft-n-min", "spec-draft-p-min", "main-gpu",
})  # fmt: skip

SWITCHES = frozenset({"flash-attn", "fa", "fit", "reasoning", "rea"})  # values: on, off (or auto)
COMMA_LISTS = frozenset({
    "tensor-split", "ts", "device", "dev", "alias", "a", "override-tensor", "ot", "lora",
    "spec-type",
})  # fmt: skip

_PRESETS = (  # each names a repository, a port or both
    "embd-gemma-default", "fim-qwen-1.5b-default", "fim-qwen-3b-default", "fim-qwen-7b-default",
    "fim-qwen-7b-spec", "fim-qwen-14b-spec", "fim-qwen-30b-default", "gpt-oss-20b-default",
    "gpt-oss-120b-default", "vision-gemma-4b-default", "vision-gemma-12b-default",
    "embd-bge-small-en-default", "embd-e5-small-en-default", "embd-gte-small-default", "models-dir",
    "models-preset", "docker-repo", "dr", "model-url", "mu", "hf-repo", "hfr", "hf", "hf-file",
    "hff", "hf-repo-v", "hfv", "hfrv", "hf-file-v", "hffv", "model", "m",
)  # fmt: skip
OWNED = {
    **dict.fromkeys(_PRESETS, USE_MODEL),
    **dict.fromkeys(("host", "reuse-port", "api-prefix", "ssl-key-file", "ssl-cert-file"),
                    USE_EXPOSE),
    "port": USE_PORT, "api-key": USE_KEY, "api-key-file": USE_KEY,
    "hf-token": NO_HUB_KEY, "hft": NO_HUB_KEY,
}  # fmt: skip
OWNED_VARIABLES = frozenset({
    "LLAMA_API_KEY",
    *(f"LLAMA_ARG_{name.upper().replace('-', '_')}" for name in OWNED),
})  # fmt: skip


def options(launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
    """Context of all slots, slots, placement, cache types, adapters, pooling."""
    slots = launch.parallel or 1
    unified = workload.parameter("kv-unified") is not None
    yield "ctx-size", str(launch.context_tokens * (1 if unified else slots))
    yield "parallel", str(slots)
    yield from _placement(launch)
    if launch.positions is not None:
        yield "rope-scaling", "yarn"
        yield "rope-scale", str(launch.positions.factor)
        yield "yarn-orig-ctx", str(launch.positions.original_tokens)
    shared = (
        ("cache-type-k", workload.kv_cache_k),
        ("cache-type-v", workload.kv_cache_v),
        ("flash-attn", workload.flash_attention),
        ("ubatch-size", workload.ubatch and str(workload.ubatch)),
        *(("lora", adapter) for adapter in workload.adapters),
    )
    yield from ((name, str(value)) for name, value in shared if value)
    if launch.task == "rerank":
        yield "reranking", None
    elif launch.task == "embedding" or workload.embedding:
        yield "embedding", None
        if launch.pooling:
            yield "pooling", launch.pooling


def _placement(launch: LaunchSettings) -> Iterable[OptionPair]:
    """Layers on GPUs, experts in host memory, the split."""
    if launch.gpu_count:
        yield "n-gpu-layers", "all" if launch.gpu_layers is None else str(launch.gpu_layers)
    else:
        yield "n-gpu-layers", "0"
    if launch.cpu_experts:
        yield "n-cpu-moe", str(launch.cpu_experts)
    if launch.tensor_split:
        yield "tensor-split", ",".join(str(share) for share in launch.tensor_split)
