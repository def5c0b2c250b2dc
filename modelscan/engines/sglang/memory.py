"""SGLang: static pools after the weights, state and sliding pools, graphs, and whether it starts.

pool = free after loading - free before x (1 - mem_fraction_static) (code: model_runner,
profile_max_num_token). Hybrids give ``mamba_full_memory_ratio`` of the KV part to states first;
sliding-window layers get a pool of their own, ``swa_full_tokens_ratio`` as long. What is left
outside the pools serves activations, CUDA graphs and the token table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.estimate import Estimate, Parts
from modelscan.core.units import GIB, format_bytes
from modelscan.engines.pool_estimate import (
    Rank,
    Start,
    assemble,
    pool_device,
    ranks_of,
    smallest_start,
    start_problems,
)
from modelscan.engines.sglang import NAME
from modelscan.engines.sglang.pools import Pools, context_bytes, sized, state_bytes, token_bytes
from modelscan.engines.sglang.settings import SglangSettings, resolve
from modelscan.engines.sglang.shapes import split_rules
from modelscan.engines.sglang.versions import DEFAULT_VERSION, OLDEST_VERSION, RESIDUALS, facts_for
from modelscan.engines.versions import unknown_note
from modelscan.memory.lora import slots_bytes
from modelscan.memory.rank_weights import (
    LayerCounts,
    Ranks,
    latent_copies_bytes,
    rank_bytes,
    rope_table_bytes,
    stage_counts,
)

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, Layer, ModelShape
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Workload

# What loading takes of the free memory in addition to the weights (library handles, the allocator's
# rounding): 0.12, 0.14, 0.09, 0.09 and 0.0 GiB of five dense models in published logs.
_LOADED_BYTES = round(0.09 * GIB)
# Loading experts leaves more than their tensors, for every other GPU of the group: 1.6, 1.9 and
# 2.0 GiB on eight (Kimi-K2.5, GLM-5 NVFP4, DeepSeek-V4-Pro), 0.5 on four (Qwen3-235B's pool).
_EXPERTS_PEER_BYTES = round(0.25 * GIB)
_GRAPH_BASE_BYTES = 0.08 * GIB  # 0.09 to 0.11 GiB at a batch of 8
_GRAPH_REQUEST_BYTES = 0.0035 * GIB  # 0.42 GiB at 24 + vocabulary, 1.7 at the largest seen


@dataclass(frozen=True, slots=True)
class _StageBytes:
    """Bytes on each GPU of a pipeline stage."""

    weights_bytes: int
    offloaded_bytes: int
    token_bytes: float
    state_bytes: int
    compute_bytes: int
    graph_bytes: int


def estimate(
    shape: ModelShape,
    workload: Workload,
    inventory: Inventory | None,
    *,
    version: str | None = None,
) -> Estimate:
    """Bytes per GPU and in sum, pools, capacity and verdict (None where there is no GPU).

    ``kv_cache_bytes`` is what ``context_tokens`` x ``parallel`` needs, ``kv_pool_bytes`` of a GPU
    the KV pool. No room after the weights is ``does_not_fit``, as SGLang refuses to start.
    """
    chosen = version or workload.backend_version or DEFAULT_VERSION
    return smallest_start(
        shape, workload, inventory, "SGLang",
        lambda placed: _estimate(shape, placed, inventory, chosen),
    )  # fmt: skip


def _estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, version: str
) -> Estimate:
    settings = resolve(shape.architecture, workload, inventory, facts_for(version))
    stages = [_stage(shape, settings, index) for index in range(settings.pipeline_parallel)]
    ranks = ranks_of(settings, lambda stage, slot: _rank(stages[stage], settings, slot))
    problems = start_problems(
        shape.architecture,
        settings,
        ranks,
        lambda rank: _start_problem(rank, settings),
        split_rules(shape.architecture, workload, settings.tensor_parallel),
    )
    unknown = unknown_note("SGLang", version, OLDEST_VERSION, DEFAULT_VERSION)
    start = Start(
        NAME, version, settings.context_tokens, settings, RESIDUALS,
        assumptions=(*_assumptions(settings), *unknown),
    )  # fmt: skip
    return assemble(shape, ranks, start, problems)


def _stage(shape: ModelShape, settings: SglangSettings, stage: int) -> _StageBytes:
    architecture = shape.architecture
    ranks = Ranks(settings.tensor_parallel, settings.pipeline_parallel)
    counts = stage_counts(architecture, ranks, stage)
    weights = rank_bytes(shape, ranks, stage, mtp=settings.speculative_mtp)
    weights += rope_table_bytes(architecture, 4)  # the table is kept in float32
    weights += latent_copies_bytes(architecture, counts, settings.tensor_parallel)
    weights += _wide_scales_bytes(shape, counts, settings) + _LOADED_BYTES
    if any(layer.moe for layer, _ in counts):
        weights += (settings.tensor_parallel - 1) * _EXPERTS_PEER_BYTES
    weights += slots_bytes(
        architecture, counts, settings.loras * settings.lora_rank, settings.tensor_parallel,
        experts=False,
    )  # fmt: skip
    offloaded = min(settings.cpu_offload_bytes, weights)
    return _StageBytes(
        weights - offloaded,
        offloaded,
        token_bytes(architecture, counts, settings),
        state_bytes(counts, settings),
        activation_bytes(architecture, [layer for layer, _ in counts], settings),
        graph_bytes(architecture, settings),
    )


def _wide_scales_bytes(shape: ModelShape, counts: LayerCounts, settings: SglangSettings) -> int:
    """FP4 experts on Hopper: its kernels take the scales in float32, the file has them in 8 bits.

    Three bytes more for 32 values that have 17. DeepSeek-V4-Pro on eight H200: 123.6 GiB with
    them, 106.5 without; its log says 125.65, and that mem_fraction_static 0.88 is too little.
    """
    experts, architecture = shape.weights.expert_bytes, shape.architecture
    capability = settings.gpus[0].compute_capability if settings.gpus else None
    hopper = capability is not None and capability.startswith("9.")
    if not hopper or not experts or architecture.extra.get("expert_dtype") != "fp4":
        return 0
    share = sum(n for _, n in counts) / len(architecture.layers)
    return round(experts * share / settings.tensor_parallel * 3 / 17)


def _rank(stage: _StageBytes, settings: SglangSettings, slot: int) -> Rank:
    """One GPU: its pools, and the bytes of a request of full length."""
    gpu = settings.gpus[slot] if slot < len(settings.gpus) else None
    memory = gpu.memory_bytes if gpu else None
    free = memory if gpu is None or gpu.free_bytes is None else gpu.free_bytes
    pools = sized(settings, stage.token_bytes, stage.state_bytes, free, stage.weights_bytes)
    request = round(settings.context_tokens * stage.token_bytes)
    parts = Parts(
        weights_bytes=stage.weights_bytes,
        kv_cache_bytes=request * settings.parallel,
        recurrent_state_bytes=stage.state_bytes * settings.parallel,
        compute_bytes=stage.compute_bytes,
        non_torch_bytes=context_bytes(settings),
        cuda_graph_bytes=stage.graph_bytes,
        other_bytes=_table_bytes(settings, pools),
    )
    budget = None if memory is None else round(memory * settings.fraction)
    return Rank(
        device=pool_device(gpu, slot, parts, pools.kv_bytes if pools else None, budget),
        tokens=pools.tokens if pools else None,
        concurrency=pools.requests(settings.context_tokens) if pools else None,
        bytes_per_token=stage.token_bytes,
        request_bytes=request,
        host_bytes=stage.offloaded_bytes,
    )


def activation_bytes(
    architecture: Architecture, layers: Sequence[Layer], settings: SglangSettings
) -> int:
    """One prefill chunk through the widest layer, and the logits of the running requests."""
    products = 3 if architecture.gated_feed_forward else 2
    width = max((layer.feed_forward for layer in layers), default=0) * products
    experts = architecture.experts
    if experts and any(layer.moe for layer in layers):
        width = max(width, 3 * experts.width * experts.active)
    hidden = architecture.hidden * (experts.active + 4 if experts else 4)
    forward = settings.chunk * (width / settings.tensor_parallel + hidden) * 2
    logits = settings.graph_batch * architecture.vocabulary * 6
    return round(forward + logits)


def graph_bytes(architecture: Architecture, settings: SglangSettings) -> int:
    """CUDA graphs of the decode batches, up to the running requests; none when switched off."""
    if not settings.graphs:
        return 0
    batch = min(settings.graph_batch, settings.running or settings.graph_batch)
    return round(_GRAPH_BASE_BYTES + batch * (_GRAPH_REQUEST_BYTES + architecture.vocabulary * 4))


def _table_bytes(settings: SglangSettings, pools: Pools | None) -> int:
    """The request-to-token table: requests x (context + 4) x 4 bytes, outside the pools.

    Code: max_running_requests = clamp(tokens / context x 512, 2048, 4096).
    """
    running = settings.running
    if running is None:
        tokens = pools.tokens if pools else 0
        running = min(max(int(tokens / settings.context_tokens * 512), 2048), 4096)
    return running * (settings.context_tokens + 4) * 4


def _start_problem(rank: Rank, settings: SglangSettings) -> str | None:
    device = rank.device
    if device.kv_pool_bytes is None or device.memory_bytes is None:
        return None
    if rank.request_bytes and not rank.tokens:
        least = math.ceil(1000 * device.parts.weights_bytes / device.memory_bytes) / 1000
        return (
            f"not enough memory on GPU {device.index}: the weights take "
            f"{format_bytes(device.parts.weights_bytes)}, mem_fraction_static "
            f"{settings.fraction:.3g} leaves no pool (the weights alone are {least:.3f})"
        )
    if rank.request_bytes > device.kv_pool_bytes:
        return (
            f"one request of {settings.context_tokens:,} tokens needs "
            f"{format_bytes(rank.request_bytes)}, the pool of GPU {device.index} has "
            f"{format_bytes(device.kv_pool_bytes)}"
        )
    if device.free_bytes is not None and device.free_bytes < device.parts.weights_bytes:
        return (
            f"the weights ({format_bytes(device.parts.weights_bytes)}) do not fit into the free "
            f"memory of GPU {device.index} ({format_bytes(device.free_bytes)})"
        )
    return None


def _assumptions(settings: SglangSettings) -> tuple[str, ...]:
    chosen = "as requested" if settings.fraction_requested else "SGLang's own choice"
    lines = [f"mem_fraction_static {settings.fraction:.3f} ({chosen}), chunks of {settings.chunk}"]
    if not settings.gpus:
        lines.append("no GPU is known: no pool, no capacity, no verdict")
    return tuple(lines)
