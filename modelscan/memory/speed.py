"""Decode and prefill speed of one request, from bytes read per token, bandwidth and compute.

decode time per token = sum over devices of active bytes x inverse efficiency / bandwidth, plus a
launch cost per layer, plus the all-reduce time of tensor parallelism. prefill time per token = 2
operations per active weight at the device's rate, plus attention over the filled context at its
own rate, plus the sums that tensor parallelism exchanges. The coefficients are least-squares fits
over published runs (``benchmarks/bench_speed.py --fit`` computes them and their error on cards
left out of the fit). ``basis`` states if an engine has no such rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelscan.core.architecture import Architecture, Attention, Layer, ModelShape, Weights
from modelscan.core.estimate import DeviceEstimate, Estimate, Speed
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.workload import Workload
from modelscan.memory import speed_table
from modelscan.memory.speed_table import Coefficients

_SPARSE_SHARE = 0.7  # a smaller active share means experts, even if their number is unknown
_CACHE_BYTES = {"f32": 4.0, "q8_0": 1.0625, "q5_1": 0.75, "q5_0": 0.6875, "q4_1": 0.625,
                "q4_0": 0.5625, "iq4_nl": 0.5625}  # fmt: skip
_WIDE_BITS = 8.0  # formats of at least this many bits a weight stream without unpacking
_HOST_BANDWIDTH = 50_000_000_000  # two channels of DDR4-3200, assumed if not measured
_ALLREDUCES_PER_LAYER = 2
# A small message: constant over NVLink; over PCIe a ring of 2 (n - 1) steps (four RTX 3090: 42 us).
_ALLREDUCE_NVLINK_S, _ALLREDUCE_PCIE_STEP_S = 12e-6, 7e-6
# Large ones, bytes per second: PCIe without peer access goes through host memory (four RTX 3090).
_LINK_NVLINK, _LINK_PCIE = 200e9, 3.5e9
_MICRO_BATCH = 512  # tokens that one card works on at a time: llama.cpp's n_ubatch
_PIPELINED = 0.65  # of an ideal pipeline: four RTX 3090 limited to 220 W


@dataclass(frozen=True, slots=True)
class Load:
    """The work of one token on one device: bytes read of weights and cache, and its layers."""

    read_bytes: float
    cache_bytes: float
    layers: float
    expert_layers: float
    bandwidth_bytes_per_s: float
    coefficients: Coefficients


def speed(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, estimate: Estimate,
    *, batching: bool = False,
) -> Speed | None:  # fmt: skip
    """Tokens per second of one request with half of its context filled.

    ``batching``: the engine has continuous batching (vLLM, SGLang). None if the hardware or its
    bandwidth is unknown; ``prefill_tokens_per_s`` is None if the compute rate is unknown.
    ``low`` and ``high`` bound the decode speed.
    """
    if inventory is None:
        return None
    loads = list(_loads(shape, workload, inventory, estimate, batching))
    if not loads:
        return None
    wide = _bits(shape) >= _WIDE_BITS
    seconds = sum(_seconds(load, wide) for load in loads)
    if estimate.tensor_parallel > 1:
        seconds += _all_reduce_s(shape.architecture, inventory, estimate.tensor_parallel)
    if seconds <= 0:
        return None
    slowest = max(loads, key=lambda load: _seconds(load, wide))
    rate, spread = 1 / seconds, slowest.coefficients.spread
    slower = speed_table.slower(
        slowest.coefficients, _bits(shape), bool(shape.architecture.experts)
    )
    return Speed(
        decode_tokens_per_s=_rounded(rate),
        prefill_tokens_per_s=_prefill(shape, inventory, estimate, batching),
        low=_rounded(rate / (1 + slower)),
        high=_rounded(rate * (1 + spread)),
        basis=_basis(loads, estimate),
    )


def _loads(
    shape: ModelShape, workload: Workload, inventory: Inventory, estimate: Estimate,
    batching: bool,
) -> Iterator[Load]:  # fmt: skip
    """One load per device that works in turn; for parallel ranks, that of one of them."""
    gpus = {gpu.index: gpu for gpu in inventory.gpus}
    devices = estimate.per_gpu
    if estimate.tensor_parallel > 1:
        devices = devices[:: estimate.tensor_parallel]
    reads = _device_reads(shape, workload, estimate)
    layers = len(shape.architecture.layers)
    sparse = sum(count for layer, count in shape.architecture.layer_counts if layer.moe)
    for device in devices:
        gpu = gpus.get(device.index if device.index is not None else -1)
        bandwidth = gpu.memory_bandwidth_bytes_per_s if gpu else None
        if gpu is None or not bandwidth:
            return
        share = reads.share(device)
        yield Load(
            reads.active(device),
            reads.cached(device),
            layers * share,
            sparse * share,
            bandwidth,
            speed_table.for_gpu(gpu, estimate.backend, batching=batching),
        )
    host = _host_load(inventory.host, estimate, reads, (layers, sparse))
    if host:
        yield host


@dataclass(frozen=True, slots=True)
class _Reads:
    """Bytes read per token: the active share of weights, and the cache."""

    weights_bytes: int
    active_bytes: float
    cache_bytes: float
    embedding_bytes: int
    experts_share: float | None  # active share of the host's weights, if it has experts only
    ranks: int

    def share(self, device: DeviceEstimate) -> float:
        total = max(1, self.weights_bytes)
        return min(1.0, device.parts.weights_bytes * self.ranks / total)

    def active(self, device: DeviceEstimate) -> float:
        """Bytes of active weights read on a device, in proportion to its weights."""
        return self.active_bytes * self.share(device) / self.ranks

    def cached(self, device: DeviceEstimate) -> float:
        """Bytes of the cache read on a device."""
        return self.cache_bytes * self.share(device) / self.ranks

    def host_active(self, device: DeviceEstimate) -> float:
        """Bytes read on the host: no embedding table, and experts by their active share."""
        stored = max(0, device.parts.weights_bytes - self.embedding_bytes)
        if self.experts_share is not None:
            return stored * self.experts_share
        cache = self.cache_bytes * min(1.0, stored / max(1, self.weights_bytes))
        return stored * self.active_bytes / max(1, self.weights_bytes) + cache


def _device_reads(shape: ModelShape, workload: Workload, estimate: Estimate) -> _Reads:
    architecture, weights = shape.architecture, shape.weights
    tokens = max(1, estimate.context_tokens // 2)
    experts = architecture.experts
    moved = any(workload.parameter(name) for name in ("n-cpu-moe", "ncmoe", "cpu-moe"))
    return _Reads(
        weights_bytes=weights.total_bytes,
        active_bytes=active_bytes(shape),
        cache_bytes=cache_read_bytes(architecture, tokens, _cache_element(workload)),
        embedding_bytes=weights.embedding_bytes or 0,
        experts_share=experts.active / experts.total if moved and experts else None,
        ranks=estimate.tensor_parallel,
    )


def active_bytes(shape: ModelShape) -> float:
    """Weight bytes read per token: without the embedding table and the inactive experts."""
    architecture, weights = shape.architecture, shape.weights
    total = float(weights.total_bytes - weights.vision_bytes)
    if not architecture.tied_embeddings:
        total -= weights.embedding_bytes or 0
    experts = architecture.experts
    if experts is None:
        return total * _stated_share(weights)
    if weights.expert_bytes is not None:
        return total - weights.expert_bytes * (1 - experts.active / experts.total)
    if weights.parameters and weights.active_parameters:
        return total * weights.active_parameters / weights.parameters
    return total


def _stated_share(weights: Weights) -> float:
    """The active share if only parameter counts are known; 1.0 for dense models."""
    if not weights.parameters or not weights.active_parameters:
        return 1.0
    share = weights.active_parameters / weights.parameters
    return share if share < _SPARSE_SHARE else 1.0


def cache_read_bytes(architecture: Architecture, tokens: int, element_bytes: float) -> float:
    """Bytes of cache and recurrent states that one token reads after ``tokens`` of context."""
    return sum(
        count * _layer_cache(architecture, layer, tokens, element_bytes)
        for layer, count in architecture.layer_counts
    )


def _layer_cache(
    architecture: Architecture, layer: Layer, tokens: int, element_bytes: float
) -> float:
    state = layer.state
    state_bytes = 0.0 if state is None else 4.0 * state.inner * state.state
    if layer.attention in (Attention.LINEAR, Attention.SSM, Attention.NONE):
        return state_bytes
    attended = min(tokens, layer.window_tokens or tokens)
    if layer.attention is Attention.MLA and architecture.latent:
        latent = architecture.latent
        return state_bytes + attended * (latent.kv_lora_rank + latent.rope_length) * element_bytes
    values = attended * layer.kv_heads * (layer.key_length + layer.value_length)
    return state_bytes + values * element_bytes


def _cache_element(workload: Workload) -> float:
    cache_type = (workload.parameter("kv-cache-dtype") or workload.kv_cache_k or "f16").lower()
    if "fp8" in cache_type or cache_type == "int8":
        return 1.0
    return _CACHE_BYTES.get(cache_type, 2.0)


def _host_load(
    host: Host, estimate: Estimate, reads: _Reads, layers: tuple[int, int]
) -> Load | None:
    """The load of the CPU: the whole model without a GPU, else the part on the host."""
    device = estimate.host
    if device is None:
        return None
    read = reads.host_active(device)
    if not estimate.per_gpu:
        read = reads.active_bytes + reads.cache_bytes
    if read <= 0:
        return None
    share = min(1.0, read / max(1.0, reads.active_bytes))
    bandwidth = host.memory_bandwidth_bytes_per_s or _HOST_BANDWIDTH
    coefficients = speed_table.for_host(host)
    return Load(read, 0.0, layers[0] * share, layers[1] * share, bandwidth, coefficients)


def _seconds(load: Load, wide: bool) -> float:
    inverse = load.coefficients.wide if wide else load.coefficients.packed
    of_cache = load.coefficients.cache or inverse
    streamed = load.read_bytes * inverse + load.cache_bytes * of_cache
    streaming = streamed / load.bandwidth_bytes_per_s
    launching = load.layers * load.coefficients.layer_s
    return streaming + launching + load.expert_layers * load.coefficients.expert_layer_s


def _fast_links(inventory: Inventory) -> bool:
    """NVLink or xGMI: as detected; of named cards, what modules with HBM have."""
    if inventory.links:
        return any(link.kind in ("nvlink", "xgmi") for link in inventory.links)
    return all(speed_table.is_module(gpu) for gpu in inventory.gpus)


def _all_reduce_s(architecture: Architecture, inventory: Inventory, ranks: int) -> float:
    slow = 2 * (ranks - 1) * _ALLREDUCE_PCIE_STEP_S
    each = _ALLREDUCE_NVLINK_S if _fast_links(inventory) else slow
    return len(architecture.layers) * _ALLREDUCES_PER_LAYER * each


def _exchanged_s(architecture: Architecture, inventory: Inventory, ranks: int) -> float:
    """Seconds per prompt token of the sums that tensor-parallel GPUs exchange, in 16 bits."""
    if ranks < 2:
        return 0.0
    share = 2 * (ranks - 1) / ranks
    sums = len(architecture.layers) * _ALLREDUCES_PER_LAYER * share
    link = _LINK_NVLINK if _fast_links(inventory) else _LINK_PCIE
    return sums * architecture.hidden * 2 / link


def _bits(shape: ModelShape) -> float:
    """Stored bits per weight; 16 if the number of weights is unknown."""
    parameters = shape.weights.parameters
    return 8.0 * shape.weights.total_bytes / parameters if parameters else 16.0


def _attention_operations(architecture: Architecture, tokens: int) -> float:
    """Operations of one token over ``tokens`` of context: QK and PV, 4 per head and value."""
    return float(
        sum(
            4 * count * layer.heads * layer.key_length * min(tokens, layer.window_tokens or tokens)
            for layer, count in architecture.layer_counts
            if layer.attention not in (Attention.LINEAR, Attention.SSM, Attention.NONE)
        )
    )


def _prefill(
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
    return _rounded(1 / seconds)


def _overlap(gpus: list[Gpu], tokens: int) -> float:
    """How much faster than one card several are that work on the batches of a prompt in turn.

    An ideal pipeline of n cards and m batches: n m / (m + n - 1). CUDA only (llama.cpp: pipeline
    parallelism). Four RTX 3090: 1,633, 1,910 and 1,784 tokens/s for prompts of 2k, 8k and 32k.
    """
    if not all(gpu.vendor == "nvidia" for gpu in gpus):
        return 1.0
    batches = max(1, tokens // _MICRO_BATCH)
    return max(1.0, _PIPELINED * len(gpus) * batches / (batches + len(gpus) - 1))


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


def _basis(loads: list[Load], estimate: Estimate) -> str:
    names = ", ".join(dict.fromkeys(load.coefficients.basis for load in loads))
    return f"{estimate.backend}: {names}; half of {estimate.context_tokens:,} tokens filled"


def _rounded(value: float) -> float:
    return round(value, 1) if value >= 10 else round(value, 2)
