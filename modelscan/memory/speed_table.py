"""Coefficients of the speed model by kind of device, fitted or, where said, assumed.

``wide`` and ``packed`` are seconds per byte relative to the nominal bandwidth (1 / efficiency) for
weights of 8 bits and more, and below; ``layer_s`` is the launch cost of a layer. The fits are over
published llama.cpp and Ollama runs (2024-05 to 2026), ``benchmarks/bench_speed.py --fit``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelscan.core.gpu import Gpu, Host


@dataclass(frozen=True, slots=True)
class Coefficients:
    """``spread``: relative range that 9 of 10 rows of the fit lie in."""

    wide: float
    packed: float
    layer_s: float
    spread: float
    basis: str


NVIDIA = Coefficients(1.064, 1.154, 58e-6, 0.15, "fit of 77 rows, GeForce and RTX")
NVIDIA_HBM = Coefficients(1.70, 1.59, 102e-6, 0.15, "fit of 18 rows, A100 and H100, 2024-05")
AMD = Coefficients(1.167, 1.238, 110e-6, 0.35, "fit of 24 rows, Radeon and Strix Halo")
APPLE = Coefficients(1.093, 1.325, 166e-6, 0.3, "fit of 33 rows, M1 to M4")
OTHER = Coefficients(1.5, 1.7, 150e-6, 0.6, "assumed: no measured rows for this kind of GPU")
CPU = Coefficients(1.5, 1.6, 30e-6, 0.5, "assumed for the CPU part: no measured rows")

# Engines with fused kernels and CUDA graphs; no rows of them are in the data, so the range is wide.
_SERVING = 1.35
_SERVING_LAYER_S = 20e-6
_SERVING_SPREAD = 0.4

EXPERTS_PREFILL = 0.35  # Strix Halo: 0.2 of the rate with experts against 0.7 dense
_PREFILL_PEAK = 1.1
_PREFILL_HALF_TFLOPS = 130.0  # llama.cpp gains less from faster cards
_HBM_CAPABILITIES = ("6.0", "7.0", "8.0", "9.0", "10.0", "10.3")


def for_gpu(gpu: Gpu, backend: str) -> Coefficients:
    """The coefficients of one device under ``backend``."""
    base = _by_vendor(gpu)
    if backend not in ("vllm", "sglang"):
        return base
    return replace(
        base,
        wide=min(base.wide, _SERVING),
        packed=min(base.packed, _SERVING),
        layer_s=_SERVING_LAYER_S,
        spread=_SERVING_SPREAD,
        basis=f"assumed for {backend} (bandwidth / {_SERVING}): no measured rows",
    )


def _by_vendor(gpu: Gpu) -> Coefficients:
    if gpu.vendor == "nvidia":
        return NVIDIA_HBM if gpu.compute_capability in _HBM_CAPABILITIES else NVIDIA
    return {"amd": AMD, "apple": APPLE}.get(gpu.vendor, OTHER)


def for_host(host: Host) -> Coefficients:
    """The CPU; a bandwidth nobody measured widens the range."""
    if host.memory_bandwidth_bytes_per_s:
        return CPU
    return replace(CPU, spread=0.8, basis="assumed for the CPU part: 50 GB/s, no measured rows")


def prefill_tflops(fp16_tflops: float, backend: str) -> float:
    """The part of the nominal half-precision rate that prefill reaches, in TFLOPS.

    llama.cpp saturates: 61 of 71 (3090), 112 of 165 (4090), 94 of 312 (A100), 128 of 756 (H100).
    """
    if backend in ("vllm", "sglang"):
        return 0.45 * fp16_tflops
    return _PREFILL_PEAK * fp16_tflops / (1 + fp16_tflops / _PREFILL_HALF_TFLOPS)
