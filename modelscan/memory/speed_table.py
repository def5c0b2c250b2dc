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

    ``spread``: relative range that contains 9 of 10 rows of the fit. ``cache``: as ``wide``, for
    bytes of the KV cache and states; None: as the weights.
    """

    wide: float
    packed: float
    layer_s: float
    expert_layer_s: float
    spread: float
    basis: str
    cache: float | None = None
    slower: float | None = None  # the range's lower end, where Vulkan is below ROCm; None: spread


NVIDIA = Coefficients(1.080, 1.179, 52e-6, 0.0, 0.16, "fit of 77 runs, GeForce and RTX")
NVIDIA_HBM = Coefficients(1.701, 1.590, 102e-6, 0.0, 0.19, "fit of 18 runs, A100 and H100, 2024")
AMD = Coefficients(
    1.169, 1.137, 71e-6, 55e-6, 0.45, "fit of 32 runs, Radeon, ROCm and Vulkan", 1.138, 0.6
)
AMD_UNIFIED = Coefficients(
    1.100, 1.239, 64e-6, 164e-6, 0.42, "fit of 52 runs, Strix Halo, ROCm and Vulkan", 1.445, 0.6
)
APPLE = Coefficients(1.101, 1.332, 158e-6, 47e-6, 0.40, "fit of 33 runs, M1 to M4")
OTHER = Coefficients(1.5, 1.7, 150e-6, 60e-6, 0.6, "assumed: no measured rows for this kind of GPU")
CPU = Coefficients(1.5, 1.6, 30e-6, 10e-6, 0.5, "assumed for the CPU part: no measured rows")

# Engines with fused kernels and CUDA graphs: 27 runs of vLLM (four RTX 3090 over PCIe, A100, GB10)
# and one of SGLang; published single requests of SGLang 0.5.8 on an RTX PRO 6000, 24 (Qwen3-32B
# BF16), 91 (8B) and 169 tokens/s (30B-A3B), agree. Per byte of weights, cards with HBM reach less.
SERVING = Coefficients(1.2, 1.2, 28e-6, 40e-6, 0.5, "fit of 28 runs, GeForce, RTX and GB10", 1.7)
SERVING_HBM = Coefficients(1.4, 1.4, 28e-6, 40e-6, 0.4, "one run, A100; H200 agrees", 1.7)
# Ten runs of SGLang with kernels patched for RDNA 4, two Radeon AI PRO R9700.
SERVING_AMD = Coefficients(1.5, 2.5, 140e-6, 0.0, 0.5, "fit of 10 runs, Radeon, SGLang", 2.5)
_SERVING_INVERSE = 1.35  # assumed where nothing was measured
_SERVING_LAYER_S = 28e-6
_SERVING_EXPERT_LAYER_S = 40e-6

EXPERTS_PREFILL = 0.35  # Strix Halo: 0.2 of the rate with experts against 0.7 dense
# (share of the nominal rate when small, TFLOPS at which half of it is lost): fits of 84 runs, and
# for Blackwell (220 of 504 on an RTX PRO 6000) and Radeon (ROCm 66, Vulkan 31 of 191) of 2026.
_PREFILL = {"nvidia": (1.5, 80.0), "apple": (0.55, 1e6), "amd": (0.6, 110.0)}
_PREFILL_BLACKWELL = (1.5, 200.0)
_PREFILL_AMD_UNIFIED = (0.8, 160.0)
_PREFILL_OTHER = (0.5, 160.0)
_PREFILL_SERVING = 0.45
# Attention over the filled context: a share of the nominal rate (RTX 3090: llama.cpp 32, vLLM 43 of
# 71), on Radeon TFLOPS between ROCm's and Vulkan's (R9700 11; Strix Halo 2.8 to 16 by head size).
_ATTENTION, _ATTENTION_SERVING = 0.4, 0.6
_ATTENTION_AMD, _ATTENTION_AMD_UNIFIED = 11.0, 4.0
_VULKAN_BF16_EXPERTS, _UNPACKED_BITS = 1.7, 16.0
_HBM_CAPABILITIES = ("6.0", "7.0", "8.0", "9.0", "10.0", "10.3")


def for_gpu(gpu: Gpu, backend: str, *, batching: bool) -> Coefficients:
    """The coefficients of one GPU. ``batching``: ``backend`` has continuous batching."""
    if batching:
        return _serving(gpu, backend)
    return _by_vendor(gpu)


def _serving(gpu: Gpu, backend: str) -> Coefficients:
    if gpu.vendor == "nvidia":
        return SERVING_HBM if gpu.compute_capability in _HBM_CAPABILITIES else SERVING
    if gpu.vendor == "amd" and not _has_hbm(gpu):
        return SERVING_AMD
    base = _by_vendor(gpu)
    return replace(
        base,
        wide=min(base.wide, _SERVING_INVERSE),
        packed=min(base.packed, _SERVING_INVERSE),
        layer_s=_SERVING_LAYER_S,
        expert_layer_s=_SERVING_EXPERT_LAYER_S,
        spread=0.5,
        basis=f"assumed for {backend} (bandwidth / {_SERVING_INVERSE}): no measured rows",
    )


def slower(entry: Coefficients, bits: float, experts: bool) -> float:
    """How far below the estimate the range reaches, relative to its lower end.

    ``bits`` a weight. Radeon's Vulkan has no matrix kernels for BF16 experts (Strix Halo: 10 where
    ROCm reaches 24 tokens/s); which of the two runs is not known.
    """
    if entry.slower is not None and experts and bits >= _UNPACKED_BITS:
        return _VULKAN_BF16_EXPERTS
    return entry.slower or entry.spread


def is_module(gpu: Gpu) -> bool:
    """An accelerator module (SXM, OAM): memory of its own kind, and not a PCIe card by name."""
    if gpu.vendor == "amd":
        return _has_hbm(gpu)
    hbm = gpu.vendor == "nvidia" and gpu.compute_capability in _HBM_CAPABILITIES
    return hbm and "PCIe" not in gpu.name


def _has_hbm(gpu: Gpu) -> bool:
    """Instinct cards, by bandwidth: no GDDR card of AMD reaches 1.5 TB/s."""
    return (gpu.memory_bandwidth_bytes_per_s or 0) > 1_500_000_000_000


def _by_vendor(gpu: Gpu) -> Coefficients:
    if gpu.vendor == "nvidia":
        return NVIDIA_HBM if gpu.compute_capability in _HBM_CAPABILITIES else NVIDIA
    if gpu.vendor == "amd":
        return AMD_UNIFIED if gpu.unified_memory else AMD
    return {"apple": APPLE}.get(gpu.vendor, OTHER)


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
    share, half = _saturation(gpu)
    return share * nominal / (1 + nominal / half)


def _saturation(gpu: Gpu) -> tuple[float, float]:
    if gpu.vendor == "amd" and gpu.unified_memory:
        return _PREFILL_AMD_UNIFIED
    if gpu.vendor == "nvidia" and (gpu.compute_capability or "").startswith("12."):
        return _PREFILL_BLACKWELL
    return _PREFILL.get(gpu.vendor, _PREFILL_OTHER)


def attention_tflops(gpu: Gpu, *, batching: bool) -> float | None:
    """The rate of attention during prefill, in TFLOPS; None if the nominal rate is unknown."""
    if gpu.vendor == "amd" and not _has_hbm(gpu):
        return _ATTENTION_AMD_UNIFIED if gpu.unified_memory else _ATTENTION_AMD
    if not gpu.fp16_tflops:
        return None
    return gpu.fp16_tflops * (_ATTENTION_SERVING if batching else _ATTENTION)
