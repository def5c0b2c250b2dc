"""vLLM: what it allocates on every GPU, how many tokens its pool holds, and whether it starts.

The budget (exact to 0.00 GiB in published logs): pool = utilisation x total - (weights +
activation peak + non-torch increase, + CUDA graphs in newer versions). Constants and their sources:
``versions``. ``docs/internals/memory-vllm-sglang.md`` explains the terms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.estimate import Estimate, Parts
from modelscan.core.units import format_bytes
from modelscan.engines.pool_estimate import (
    Rank,
    Start,
    assemble,
    pool_device,
    ranks_of,
    smallest_start,
    start_problems,
)
from modelscan.engines.versions import unknown_note
from modelscan.engines.vllm import NAME, kv_pool, overhead
from modelscan.engines.vllm.activation import activation_bytes
from modelscan.engines.vllm.settings import VllmSettings, resolve
from modelscan.engines.vllm.shapes import split_rules
from modelscan.engines.vllm.versions import (
    DEFAULT_VERSION,
    OLDEST_VERSION,
    RESIDUALS,
    VllmVersion,
    facts_for,
)
from modelscan.memory.allocator_gaps import gaps_bytes
from modelscan.memory.rank_weights import (
    LayerCounts,
    Ranks,
    latent_copies_bytes,
    rank_bytes,
    rope_table_bytes,
    stage_counts,
)

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.workload import Workload
    from modelscan.engines.vllm.kv_pool import Capacity


def estimate(
    shape: ModelShape,
    workload: Workload,
    inventory: Inventory | None,
    *,
    version: str | None = None,
) -> Estimate:
    """Bytes per GPU and in sum, pool, capacity and verdict.

    ``kv_cache_bytes`` is what ``context_tokens`` x ``parallel`` needs; ``kv_pool_bytes`` of each
    GPU what vLLM will set aside. ``verdict`` is None where the inventory has no GPU. A predicted
    failed start is ``does_not_fit`` with vLLM's own reason in ``warnings``. Without a degree asked
    for, the fewest GPUs that fit. Raises NotDeployableError for GGUF.
    """
    chosen = version or workload.backend_version or DEFAULT_VERSION
    return smallest_start(
        shape, workload, inventory, "vLLM",
        lambda placed: _estimate(shape, placed, inventory, chosen),
    )  # fmt: skip


def _estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, version: str
) -> Estimate:
    facts = facts_for(version)
    settings = resolve(shape.architecture, workload, inventory, facts)
    stages = [_stage(shape, settings, facts, i) for i in range(settings.pipeline_parallel)]
    ranks = ranks_of(settings, lambda stage, slot: _rank(stages[stage], settings, facts, slot))
    problems = start_problems(
        shape.architecture,
        settings,
        ranks,
        lambda rank: _Start(rank, settings).problem(),
        split_rules(shape.architecture, workload, version),
    )
    start = Start(
        NAME, version, settings.max_model_len, settings, RESIDUALS,
        assumptions=(*_assumptions(settings), *_unknown(version)),
    )  # fmt: skip
    return assemble(shape, ranks, start, problems)


@dataclass(frozen=True, slots=True)
class _Stage:
    """The parts and KV pool layout that are equal on all GPUs of a pipeline stage."""

    parts: Parts
    charged_bytes: int
    pool: kv_pool.Pool
    offloaded_bytes: int


def _stage(shape: ModelShape, settings: VllmSettings, facts: VllmVersion, stage: int) -> _Stage:
    ranks = Ranks(settings.tensor_parallel, settings.pipeline_parallel)
    counts = stage_counts(shape.architecture, ranks, stage)
    weights = _weights(shape, settings, ranks, stage, counts)
    offloaded = min(settings.cpu_offload_bytes, weights)
    parts = _parts(shape, settings, facts, counts, weights - offloaded, stage)
    graphs = parts.cuda_graph_bytes if settings.charges_graphs else 0
    context = parts.other_bytes if facts.context_charged else 0
    charged = parts.weights_bytes + parts.compute_bytes + parts.non_torch_bytes
    pool = kv_pool.layout(shape.architecture, counts, settings, facts)
    return _Stage(parts, charged + graphs + context, pool, offloaded)


def _rank(stage: _Stage, settings: VllmSettings, facts: VllmVersion, slot: int) -> Rank:
    """One GPU: its budget, pool and capacity."""
    gpu = settings.gpus[slot] if slot < len(settings.gpus) else None
    budget = _budget(gpu, settings)
    pool_bytes = settings.kv_pool_bytes
    if pool_bytes is None and budget is not None:
        pool_bytes = budget - stage.charged_bytes
    capacity = kv_pool.capacity(stage.pool, pool_bytes or 0, settings, facts)
    has_pool = pool_bytes is not None
    parts = _with_cache(stage.parts, stage.pool, capacity, settings, facts)
    return Rank(
        device=pool_device(gpu, slot, parts, pool_bytes, budget),
        tokens=capacity.tokens if capacity and has_pool else None,
        concurrency=capacity.concurrency if capacity and has_pool else None,
        bytes_per_token=capacity.bytes_per_token if capacity else 0.0,
        request_bytes=capacity.request_bytes if capacity else 0,
        host_bytes=stage.offloaded_bytes + settings.swap_bytes,
    )


def _budget(gpu: Gpu | None, settings: VllmSettings) -> int | None:
    """Utilisation of what CUDA calls total: without what the driver keeps (H100: 79.19 GiB)."""
    if gpu is None or gpu.memory_bytes is None:
        return None
    return round((gpu.memory_bytes - (gpu.reserved_bytes or 0)) * settings.utilization)


def _weights(
    shape: ModelShape, settings: VllmSettings, ranks: Ranks, stage: int, counts: LayerCounts
) -> int:
    architecture = shape.architecture
    loaded = rank_bytes(
        shape, ranks, stage, dtype=settings.dtype_requested, mtp=settings.speculative_mtp
    )
    copies = latent_copies_bytes(architecture, counts, settings.tensor_parallel)
    table = rope_table_bytes(
        architecture, settings.dtype_bytes, m_rope_lengths=overhead.M_ROPE_LENGTHS
    )
    gaps = gaps_bytes(architecture, counts, settings.tensor_parallel)
    return loaded + copies + table + gaps + overhead.per_layer_bytes(architecture, settings)


def _parts(
    shape: ModelShape,
    settings: VllmSettings,
    facts: VllmVersion,
    counts: LayerCounts,
    weights: int,
    stage: int,
) -> Parts:
    """Everything but the cache. ``other_bytes`` is the CUDA context; adapters count as weights.

    The runner's buffers are with what is not torch's, as in the newer logs, which state what is
    consumed without the weights; before they were charged, with the context.
    """
    architecture = shape.architecture
    buffers = overhead.buffer_bytes(architecture, settings, facts, stage=stage)
    charged = buffers if facts.buffers_charged else 0
    last = stage == settings.pipeline_parallel - 1
    kinds = [layer for layer, _ in counts]
    return Parts(
        weights_bytes=weights
        + overhead.lora_bytes(architecture, counts, settings, facts)
        + overhead.driver_bytes(shape, settings, facts),
        compute_bytes=activation_bytes(architecture, kinds, settings, facts, last_stage=last),
        non_torch_bytes=overhead.non_torch_bytes(settings, facts) + charged,
        cuda_graph_bytes=overhead.graph_bytes(architecture, counts, settings, facts),
        other_bytes=overhead.context_bytes(settings, facts) + buffers - charged,
    )


def _with_cache(
    parts: Parts,
    pool: kv_pool.Pool,
    held: Capacity | None,
    settings: VllmSettings,
    facts: VllmVersion,
) -> Parts:
    if held is None:
        return parts
    states = kv_pool.state_blocks(pool, settings, facts) * pool.block_bytes
    return replace(
        parts,
        kv_cache_bytes=(held.request_bytes - states) * settings.parallel,
        recurrent_state_bytes=states * settings.parallel,
    )


@dataclass(frozen=True, slots=True)
class _Start:
    """The start checks of one GPU, in vLLM's order."""

    rank: Rank
    settings: VllmSettings

    def problem(self) -> str | None:
        return self._free() or self._blocks() or self._length()

    def _free(self) -> str | None:
        device = self.rank.device
        budget, free = device.budget_bytes, device.free_bytes
        if self.settings.kv_pool_bytes is not None or budget is None or free is None:
            return None
        if free >= budget:
            return None
        return (
            f"free memory on GPU {device.index} ({format_bytes(free)}) is less than the desired "
            f"utilisation ({self.settings.utilization:g}, {format_bytes(budget)})"
        )

    def _blocks(self) -> str | None:
        if not self.rank.request_bytes or self.rank.tokens is None or self.rank.tokens > 0:
            return None
        device = self.rank.device
        need = device.parts.weights_bytes + device.parts.compute_bytes
        return (
            f"no memory for the cache blocks on GPU {device.index}: weights and activations take "
            f"{format_bytes(need)} of a budget of {format_bytes(device.budget_bytes)}"
        )

    def _length(self) -> str | None:
        pool = self.rank.device.kv_pool_bytes
        if pool is None or self.rank.request_bytes <= pool:
            return None
        return (
            f"one request of {self.settings.max_model_len} tokens needs "
            f"{format_bytes(self.rank.request_bytes)} of KV cache, more than the "
            f"{format_bytes(pool)} there are on GPU {self.rank.device.index}"
        )


def _unknown(version: str) -> tuple[str, ...]:
    return unknown_note("vLLM", version, OLDEST_VERSION, DEFAULT_VERSION)


def _assumptions(settings: VllmSettings) -> tuple[str, ...]:
    charged = "charged to" if settings.charges_graphs else "outside"
    lines = [
        f"utilization {settings.utilization:g} of total memory, "
        f"{settings.max_num_seqs:,} sequences, {settings.max_num_batched_tokens:,} tokens per step",
        "eager: no CUDA graphs" if settings.eager else f"CUDA graphs are {charged} the budget",
    ]
    if not settings.gpus:
        lines.append("no GPU is known: no pool, no capacity, no verdict")
    return tuple(lines)
