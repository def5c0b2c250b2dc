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

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.estimate import DeviceEstimate, Estimate, Speed
from modelscan.core.gpu import Host, Inventory
from modelscan.core.workload import Workload
from modelscan.memory import speed_table
from modelscan.memory.prefill import ALLREDUCES_PER_LAYER, fast_links, prefill
from modelscan.memory.speed_table import Coefficients
from modelscan.memory.token_reads import active_bytes, cache_element_bytes, cache_read_bytes

_WIDE_BITS = 8.0  # formats of at least this many bits a weight stream without unpacking
_HOST_BANDWIDTH = 50_000_000_000  # two channels of DDR4-3200, assumed if not measured
# A small message: constant over NVLink; over PCIe a ring of 2 (n - 1) steps (four RTX 3090: 42 us).
_ALLREDUCE_NVLINK_S, _ALLREDUCE_PCIE_STEP_S = 12e-6, 7e-6


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
    prompt = prefill(shape, inventory, estimate, batching)
    return Speed(
        decode_tokens_per_s=_rounded(rate),
        prefill_tokens_per_s=None if prompt is None else _rounded(prompt),
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
        cache_bytes=cache_read_bytes(architecture, tokens, cache_element_bytes(workload)),
        embedding_bytes=weights.embedding_bytes or 0,
        experts_share=experts.active / experts.total if moved and experts else None,
        ranks=estimate.tensor_parallel,
    )


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


def _all_reduce_s(architecture: Architecture, inventory: Inventory, ranks: int) -> float:
    slow = 2 * (ranks - 1) * _ALLREDUCE_PCIE_STEP_S
    each = _ALLREDUCE_NVLINK_S if fast_links(inventory) else slow
    return len(architecture.layers) * ALLREDUCES_PER_LAYER * each


def _bits(shape: ModelShape) -> float:
    """Stored bits per weight; 16 if the number of weights is unknown."""
    parameters = shape.weights.parameters
    return 8.0 * shape.weights.total_bytes / parameters if parameters else 16.0


def _basis(loads: list[Load], estimate: Estimate) -> str:
    names = ", ".join(dict.fromkeys(load.coefficients.basis for load in loads))
    return f"{estimate.backend}: {names}; half of {estimate.context_tokens:,} tokens filled"


def _rounded(value: float) -> float:
    return round(value, 1) if value >= 10 else round(value, 2)
