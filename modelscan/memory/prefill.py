"""Prefill speed: two operations per active weight at the card's rate, attention over the filled
context at its own, and the sums that tensor parallelism exchanges.
"""

from __future__ import annotations

from modelscan.core.architecture import Architecture, Attention, ModelShape
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Inventory
from modelscan.memory import speed_table
from modelscan.memory.token_reads import active_bytes

ALLREDUCES_PER_LAYER = 2
# Large ones, bytes per second: PCIe without peer access goes through host memory (four RTX 3090).
_LINK_NVLINK, _LINK_PCIE = 200e9, 3.5e9
_MICRO_BATCH = 512  # tokens that one card works on at a time: llama.cpp's n_ubatch
_PIPELINED = 0.65  # of an ideal pipeline: four RTX 3090 limited to 220 W


def prefill(
    shape: ModelShape, inventory: Inventory, estimate: Estimate, batching: bool
) -> float | None:
    """Prompt tokens per second with half of the context filled."""
    weights = shape.weights
    if not weights.parameters or not weights.total_bytes or _host_works(estimate):
        return None
    active = weights.parameters * active_bytes(shape) / weights.total_bytes
    gpus = {gpu.index: gpu for gpu in inventory.gpus}
    used = [gpus[d.index] for d in estimate.per_gpu if d.index is not None and d.index in gpus]
    rates = [_compute(gpu, shape, batching) for gpu in used]
    measurable = [rate for rate in rates if rate]
    if not measurable or len(measurable) < len(rates) or active <= 0:
        return None
    ranks = max(1, estimate.tensor_parallel)
    filled_tokens = max(1, estimate.context_tokens // 2)
    parallel = ranks * (_overlap(used, filled_tokens) if not batching else 1.0)
    attention = min(speed_table.attention_tflops(gpu, batching=batching) or 0 for gpu in used)
    seconds = 2 * active / (min(measurable) * parallel)
    seconds += _exchanged_s(shape.architecture, inventory, ranks)
    if attention:
        filled = _attention_operations(shape.architecture, filled_tokens)
        seconds += filled / (attention * 1e12 * parallel)
    return 1 / seconds


def _overlap(gpus: list[Gpu], tokens: int) -> float:
    """How much faster than one card several are that work on the batches of a prompt in turn.

    An ideal pipeline of n cards and m batches: n m / (m + n - 1). CUDA only (llama.cpp: pipeline
    parallelism). Four RTX 3090: 1,633, 1,910 and 1,784 tokens/s for prompts of 2k, 8k and 32k.
    """
    if not all(gpu.vendor == "nvidia" for gpu in gpus):
        return 1.0
    batches = max(1, tokens // _MICRO_BATCH)
    return max(1.0, _PIPELINED * len(gpus) * batches / (batches + len(gpus) - 1))


def _exchanged_s(architecture: Architecture, inventory: Inventory, ranks: int) -> float:
    """Seconds per prompt token of the sums that tensor-parallel GPUs exchange, in 16 bits."""
    if ranks < 2:
        return 0.0
    share = 2 * (ranks - 1) / ranks
    sums = len(architecture.layers) * ALLREDUCES_PER_LAYER * share
    link = _LINK_NVLINK if fast_links(inventory) else _LINK_PCIE
    return sums * architecture.hidden * 2 / link


def _attention_operations(architecture: Architecture, tokens: int) -> float:
    """Operations of one token over ``tokens`` of context: QK and PV, 4 per head and value."""
    return float(
        sum(
            4 * count * layer.heads * layer.key_length * min(tokens, layer.window_tokens or tokens)
            for layer, count in architecture.layer_counts
            if layer.attention not in (Attention.LINEAR, Attention.SSM, Attention.NONE)
        )
    )


def _host_works(estimate: Estimate) -> bool:
    """Whether layers run on the CPU, not only the embedding."""
    host = estimate.host
    if not estimate.per_gpu:
        return True
    on_gpus = sum(device.parts.weights_bytes for device in estimate.per_gpu)
    return host is not None and host.parts.weights_bytes > 0.25 * max(1, on_gpus)


def _compute(gpu: Gpu, shape: ModelShape, batching: bool) -> float | None:
    """Operations per second that prefill reaches; None if the GPU's rate is unknown."""
    dense = speed_table.prefill_tflops(gpu, batching=batching)
    if dense is None:
        return None
    sparse = speed_table.EXPERTS_PREFILL if shape.architecture.experts else 1.0
    return dense * sparse * 1e12


def fast_links(inventory: Inventory) -> bool:
    """NVLink or xGMI: as detected; of named cards, what modules with HBM have."""
    if inventory.links:
        return any(link.kind in ("nvlink", "xgmi") for link in inventory.links)
    return all(speed_table.is_module(gpu) for gpu in inventory.gpus)
