"""llama-server's options for a plan, as b11549 spells them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair

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
        "batch-size", "b", "ubatch-size", "ub", "swa-full", "flash-attn", "fa",
        "n-cpu-moe", "ncmoe", "cpu-moe", "cmoe", "tensor-split", "ts",
        "no-kv-offload", "nkvo",
    ),
)  # fmt: skip


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
