"""How far an estimate may be off: from the residuals of its engine's measured rows.

``make bench-memory`` prints the residuals this table holds. llama.cpp on a host: compute is the
99th percentile over 978 dry runs (the 95th is 0.033 %), the floor what the serving process takes
beside its buffers (35 MB observed). On GPUs few logs exist, hence the wide values.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.architecture import ModelShape
from modelscan.core.estimate import Estimate, Parts
from modelscan.engines.vllm.versions import facts_for


@dataclass(frozen=True, slots=True)
class Residuals:
    """p95 of the error: ``compute`` of the compute part, ``weights`` of computed weights (exact
    ones have none), ``graphs`` of CUDA graphs that are charged to the pool, ``floor_bytes`` per
    device for what no log line shows.
    """

    compute: float
    weights: float
    kv: float
    floor_bytes: int
    graphs: float = 0.0


_MIB = 1 << 20
TABLE: dict[str, Residuals] = {
    "llama.cpp": Residuals(compute=0.035, weights=0.007, kv=0.0, floor_bytes=40 * _MIB),
    "llama.cpp/gpu": Residuals(compute=0.10, weights=0.007, kv=0.0, floor_bytes=256 * _MIB),
    "ollama": Residuals(compute=0.10, weights=0.007, kv=0.0, floor_bytes=256 * _MIB),
    # benchmarks/bench_memory_gpu.py --margins; SGLang's logs name no activation. What vLLM charges
    # for graphs is its own guess (p95 0.14 GiB of 0.9); one that is not charged hurts no pool.
    "vllm": Residuals(compute=0.024, weights=0.024, kv=0.001, floor_bytes=160 * _MIB, graphs=0.15),
    "sglang": Residuals(compute=0.25, weights=0.05, kv=0.004, floor_bytes=512 * _MIB),
}


def margin_bytes(found: Estimate, shape: ModelShape) -> int:
    """Bytes to keep free on top of the estimate, over all its devices."""
    version, gpus = found.backend_version, len(found.per_gpu)
    return margin_of(found.backend, version, found.parts, gpus, shape)


def margin_of(backend: str, version: str | None, parts: Parts, gpus: int, shape: ModelShape) -> int:
    """As ``margin_bytes``, of the sums over ``gpus`` devices."""
    key = "llama.cpp/gpu" if backend == "llama.cpp" and gpus else backend
    residuals = TABLE.get(key, TABLE["vllm"])
    weights = 0.0 if shape.weights.basis == "exact" else residuals.weights * parts.weights_bytes
    spread = weights + residuals.compute * parts.compute_bytes + residuals.kv * parts.kv_cache_bytes
    if key == "vllm" and facts_for(version).graphs_charged:
        spread += residuals.graphs * parts.cuda_graph_bytes
    return round(spread) + residuals.floor_bytes * max(1, gpus)
