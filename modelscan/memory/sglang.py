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

from modelscan.core.architecture import Architecture, Attention, Layer, ModelShape
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.gpu import Inventory
from modelscan.core.units import GIB, format_bytes
from modelscan.core.workload import Workload
from modelscan.memory.pool_estimate import Rank, assemble, fewest_gpus, refuse_format, unsplittable
from modelscan.memory.rank_weights import (
    Ranks,
    latent_copies_bytes,
    rank_bytes,
    rope_table_bytes,
    stage_layers,
)
from modelscan.memory.sglang_settings import SglangSettings, resolve
from modelscan.memory.sglang_versions import DEFAULT_VERSION, facts_for

# Free before loading against the card's memory, published logs: 0.6 GiB on one 24 GiB card,
# 1.3 (H100, four GPUs) to 2.5 (H200, eight GPUs).
_CONTEXT_BYTES = round(0.6 * GIB)
_CONTEXT_PARALLEL_BYTES = round(1.6 * GIB)
_INDEXER_SCALE_BYTES = 4
_SPARSE_FP8_BYTES = 656  # 512 fp8 + scales + bf16 rope
_GRAPH_BASE_BYTES = 0.08 * GIB  # 0.09 to 0.11 GiB at a batch of 8
_GRAPH_REQUEST_BYTES = 0.0035 * GIB  # 0.42 GiB at 24 + vocabulary, 1.7 at the largest seen


@dataclass(frozen=True, slots=True)
class Pools:
    """One GPU's pools. ``token_bytes`` is what a token of the full pool brings along."""

    tokens: int
    kv_bytes: int
    token_bytes: float
    state_slots: int
    state_bytes: int
    rest_bytes: int  # before it was divided; negative: nothing is left after the weights


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
    refuse_format(shape, workload, "SGLang")
    chosen = version or workload.backend_version or DEFAULT_VERSION
    return fewest_gpus(
        shape.architecture, workload, inventory, "sglang",
        lambda wanted: _estimate(shape, wanted, inventory, chosen),
    )  # fmt: skip


def _estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, version: str
) -> Estimate:
    facts = facts_for(version)
    settings = resolve(shape.architecture, workload, inventory, facts)
    ranks = [
        _rank(shape, settings, stage, slot)
        for stage in range(settings.pipeline_parallel)
        for slot in range(settings.tensor_parallel)
    ]
    return assemble(
        shape,
        ranks,
        backend="sglang",
        version=version,
        context_tokens=settings.context_tokens,
        parallel=settings.parallel,
        tensor_parallel=settings.tensor_parallel,
        problems=_problems(shape, settings, ranks),
        assumptions=_assumptions(settings),
        known_hardware=bool(settings.gpus),
    )


def _rank(shape: ModelShape, settings: SglangSettings, stage: int, slot: int) -> Rank:
    architecture = shape.architecture
    ranks = Ranks(settings.tensor_parallel, settings.pipeline_parallel)
    layers = stage_layers(architecture, ranks, stage)
    index = stage * settings.tensor_parallel + slot
    gpu = settings.gpus[index] if index < len(settings.gpus) else None
    weights = rank_bytes(shape, ranks, stage, mtp=settings.speculative_mtp)
    weights += rope_table_bytes(architecture, 4)  # the table is kept in float32
    weights += latent_copies_bytes(architecture, layers, settings.tensor_parallel)
    held = min(settings.cpu_offload_bytes, weights)
    memory = gpu.memory_bytes if gpu else None
    there = memory if gpu is None or gpu.free_bytes is None else gpu.free_bytes
    pools = sized(architecture, layers, settings, there, weights - held)
    need = needed(architecture, layers, settings)
    parts = _parts(architecture, layers, settings, weights - held, need, pools)
    return Rank(
        device=DeviceEstimate(
            index=gpu.index if gpu else index,
            parts=parts,
            total_bytes=parts.total_bytes,
            kv_pool_bytes=pools.kv_bytes if pools else None,
            budget_bytes=None if memory is None else round(memory * settings.fraction),
            memory_bytes=memory,
            free_bytes=gpu.free_bytes if gpu else None,
        ),
        tokens=pools.tokens if pools else None,
        concurrency=pools.tokens / settings.context_tokens if pools else None,
        bytes_per_token=token_bytes(architecture, layers, settings),
        request_bytes=round(settings.context_tokens * token_bytes(architecture, layers, settings)),
        host_bytes=held,
    )


def sized(
    architecture: Architecture,
    layers: Sequence[Layer],
    settings: SglangSettings,
    free_bytes: int | None,
    weights_bytes: int,
) -> Pools | None:
    """The pools of one GPU with ``free_bytes`` before the start; None where that is unknown."""
    if free_bytes is None:
        return None
    before = free_bytes - context_bytes(settings)
    rest = round(before * settings.fraction) - weights_bytes
    state = state_bytes(layers, settings)
    slots = 0
    left = rest
    if state:
        slots = settings.state_slots or max(
            0, int(rest * settings.state_ratio / (1 + settings.state_ratio) // state)
        )
        left = rest - slots * state
    per_token = token_bytes(architecture, layers, settings)
    tokens = max(0, int(left / per_token)) if per_token else 0
    tokens = min(tokens, settings.pool_tokens or tokens) // settings.page * settings.page
    return Pools(tokens, round(tokens * per_token), per_token, slots, slots * state, rest)


def context_bytes(settings: SglangSettings) -> int:
    """What is gone before the weights: CUDA context and communicators."""
    several = settings.tensor_parallel * settings.pipeline_parallel > 1
    return _CONTEXT_PARALLEL_BYTES if several else _CONTEXT_BYTES


def token_bytes(
    architecture: Architecture, layers: Sequence[Layer], settings: SglangSettings
) -> float:
    """Bytes per token of capacity; a sliding layer counts for its shorter pool."""
    kinds = {layer.attention for layer in layers if layer.owns_cache}
    shorter = settings.sliding_pool and Attention.FULL in kinds
    total = 0.0
    for layer in layers:
        sliding = layer.attention in (Attention.SLIDING, Attention.CHUNKED)
        share = settings.sliding_ratio if sliding and shorter else 1.0
        total += _layer_token_bytes(architecture, layer, settings) * share
    return total


def _layer_token_bytes(architecture: Architecture, layer: Layer, settings: SglangSettings) -> float:
    stateful = (Attention.LINEAR, Attention.SSM, Attention.NONE)
    if not layer.owns_cache or layer.attention in stateful:
        return 0.0
    if layer.attention is Attention.MLA and architecture.latent:
        return _latent_bytes(architecture, settings)
    heads = max(1, layer.kv_heads // settings.tensor_parallel)
    return heads * (layer.key_length + layer.value_length) * settings.kv_element_bytes


def _latent_bytes(architecture: Architecture, settings: SglangSettings) -> float:
    """The latent, and for sparse attention the indexer's key (fp8 and a scale).

    GLM-5 in BF16: 78 x (576 x 2 + 132) = 100,152 bytes, as in its log.
    """
    latent = architecture.latent
    assert latent is not None
    indexer = int(architecture.extra.get("indexer_key_length", 0) or 0)
    extra = indexer + _INDEXER_SCALE_BYTES if indexer else 0
    if indexer and settings.kv_element_bytes == 1.0:
        return _SPARSE_FP8_BYTES + extra
    return (latent.kv_lora_rank + latent.rope_length) * settings.kv_element_bytes + extra


def state_bytes(layers: Sequence[Layer], settings: SglangSettings) -> int:
    """A slot of all layers: convolution in 16 bits, recurrent part in float32 (the default).

    granite-4.0-h-micro: 36 layers x (4096 x 128 x 4 B + conv) = 72 MiB, 39 slots = 2.74 GiB.
    """
    total = 0
    for layer in layers:
        state = layer.state
        if state is None:
            continue
        convolution = (state.conv_kernel - 1) * (state.inner + 2 * state.groups * state.state)
        total += (convolution * 2 + state.inner * state.state * 4) // settings.tensor_parallel
    return total


def needed(
    architecture: Architecture, layers: Sequence[Layer], settings: SglangSettings
) -> tuple[int, int]:
    """(KV bytes, state bytes) of ``parallel`` requests of full length."""
    tokens = settings.context_tokens * settings.parallel
    kv = round(tokens * token_bytes(architecture, layers, settings))
    return kv, state_bytes(layers, settings) * settings.parallel


def _parts(
    architecture: Architecture,
    layers: Sequence[Layer],
    settings: SglangSettings,
    weights: int,
    need: tuple[int, int],
    pools: Pools | None,
) -> Parts:
    return Parts(
        weights_bytes=weights,
        kv_cache_bytes=need[0],
        recurrent_state_bytes=need[1],
        compute_bytes=activation_bytes(architecture, layers, settings),
        non_torch_bytes=context_bytes(settings),
        cuda_graph_bytes=graph_bytes(architecture, settings),
        other_bytes=_table_bytes(settings, pools),
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
    """CUDA graphs of the decode batches; none when switched off."""
    if not settings.graphs:
        return 0
    logits = settings.graph_batch * architecture.vocabulary * 4
    return round(_GRAPH_BASE_BYTES + settings.graph_batch * _GRAPH_REQUEST_BYTES + logits)


def _table_bytes(settings: SglangSettings, pools: Pools | None) -> int:
    """The request-to-token table: requests x (context + 4) x 4 bytes, outside the pools.

    Code: max_running_requests = clamp(tokens / context x 512, 2048, 4096).
    """
    running = settings.running
    if running is None:
        tokens = pools.tokens if pools else 0
        running = min(max(int(tokens / settings.context_tokens * 512), 2048), 4096)
    return running * (settings.context_tokens + 4) * 4


def _problems(
    shape: ModelShape, settings: SglangSettings, ranks: Sequence[Rank]
) -> tuple[str, ...]:
    found: list[str] = []
    count = settings.tensor_parallel * settings.pipeline_parallel
    if settings.gpus and len(settings.gpus) < count:
        found.append(f"{count} GPUs are needed, {len(settings.gpus)} are there")
    found += unsplittable(shape.architecture, settings.tensor_parallel, "sglang")
    for rank in ranks:
        problem = _start_problem(rank, settings)
        if problem:
            found.append(problem)
    return tuple(dict.fromkeys(found))


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
            f"one request of {settings.context_tokens} tokens needs "
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
    chosen = "as asked" if settings.fraction_asked else "SGLang's own choice"
    lines = [f"mem_fraction_static {settings.fraction:.3f} ({chosen}), chunks of {settings.chunk}"]
    if not settings.gpus:
        lines.append("no GPU is known: no pool, no capacity, no verdict")
    return tuple(lines)
