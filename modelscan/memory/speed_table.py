"""Coefficients of the speed model by kind of device: fitted, or assumed where ``basis`` states it.

``wide`` and ``packed`` are seconds per byte relative to the nominal bandwidth (1 / efficiency) for
weights of 8 bits and more, and below; ``layer_s`` is the launch cost of a layer, ``expert_layer_s``
what routing adds to it. The fits are over published llama.cpp and Ollama runs (2024-05 to 2026):
``benchmarks/bench_speed.py --fit``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelscan.core.gpu import Gpu, Host


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Coefficients of one kind of device; units are in the module's description.

    ``spread``: relative range that contains 9 of 10 rows of the fit.
    """

    wide: float
    packed: float
    layer_s: float
    expert_layer_s: float
    spread: float
    basis: str


NVIDIA = Coefficients(1.080, 1.179, 52e-6, 0.0, 0.16, "fit of 77 runs, GeForce and RTX")
NVIDIA_HBM = Coefficients(1.701, 1.590, 102e-6, 0.0, 0.19, "fit of 18 runs, A100 and H100, 2024")
AMD = Coefficients(1.167, 1.238, 69e-6, 102e-6, 0.35, "fit of 24 runs, 21 on Strix Halo")
APPLE = Coefficients(1.101, 1.332, 158e-6, 47e-6, 0.40, "fit of 33 runs, M1 to M4")
OTHER = Coefficients(1.5, 1.7, 150e-6, 60e-6, 0.6, "assumed: no measured rows for this kind of GPU")
CPU = Coefficients(1.5, 1.6, 30e-6, 10e-6, 0.5, "assumed for the CPU part: no measured rows")

# Engines with fused kernels and CUDA graphs. The data has no rows of them, so the range is wide.
# Published single requests agree with the assumption: SGLang 0.5.8 on an RTX PRO 6000, 24
# (Qwen3-32B BF16), 91 (8B) and 169 tokens/s (30B-A3B); SGLang 0.5.7 on eight H200, 12.8 ms per
# token of DeepSeek-R1 with eight requests, i.e. about 9 ms with one.
_SERVING = 1.35
_SERVING_LAYER_S = 20e-6
_SERVING_EXPERT_LAYER_S = 50e-6
_SERVING_SPREAD = 0.4

EXPERTS_PREFILL = 0.35  # Strix Halo: 0.2 of the rate with experts against 0.7 dense
# (share of the nominal rate when small, TFLOPS at which half of it is lost): fits of 84 runs.
_PREFILL = {"nvidia": (1.5, 80.0), "apple": (0.55, 1e6), "amd": (0.8, 160.0)}
_PREFILL_OTHER = (0.5, 160.0)
_PREFILL_SERVING = 0.45
_HBM_CAPABILITIES = ("6.0", "7.0", "8.0", "9.0", "10.0", "10.3")


def for_gpu(gpu: Gpu, backend: str, *, batching: bool) -> Coefficients:
    """The coefficients of one GPU. ``batching``: ``backend`` has continuous batching."""
    base = _by_vendor(gpu)
    if not batching:
        return base
    return replace(
        base,
        wide=min(base.wide, _SERVING),
        packed=min(base.packed, _SERVING),
        layer_s=_SERVING_LAYER_S,
        expert_layer_s=_SERVING_EXPERT_LAYER_S,
        spread=_SERVING_SPREAD,
        basis=f"assumed for {backend} (bandwidth / {_SERVING}): no measured rows",
    )


def _by_vendor(gpu: Gpu) -> Coefficients:
    if gpu.vendor == "nvidia":
        return NVIDIA_HBM if gpu.compute_capability in _HBM_CAPABILITIES else NVIDIA
    return {"amd": AMD, "apple": APPLE}.get(gpu.vendor, OTHER)


def for_host(host: Host) -> Coefficients:
    """The coefficients of the CPU; the range is wider if its bandwidth is assumed."""
    if host.memory_bandwidth_bytes_per_s:
        return CPU
    return replace(CPU, spread=0.8, basis="assumed for the CPU part: 50 GB/s, no measured rows")


def prefill_tflops(gpu: Gpu, *, batching: bool) -> float | None:
    """The rate that prefill reaches, in TFLOPS: a share of the nominal half-precision rate.

    llama.cpp saturates: 61 of 71 (3090), 112 of 165 (4090), 94 of 312 (A100), 128 of 756 (H100).
    None if the nominal rate is unknown.
    """
    nominal = gpu.fp16_tflops
    if not nominal:
        return None
    if batching:
        return _PREFILL_SERVING * nominal
    share, half = _PREFILL.get(gpu.vendor, _PREFILL_OTHER)
    return share * nominal / (1 + nominal / half)
