"""The engines that can use a device. Empty: detected, but no engine supports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu

# The gfx targets in the engines' ROCm builds; llama.cpp and Ollama also support Vulkan.
VLLM_TARGETS = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1101", "gfx1200", "gfx1201",
                "gfx1150", "gfx1151")  # fmt: skip
SGLANG_TARGETS = ("gfx942", "gfx950")
_ALL = ("llama.cpp", "vllm", "sglang", "ollama")


def backends_for(gpu: Gpu) -> tuple[str, ...]:
    """The engines for a vendor and generation; an unknown generation counts as supported.

    Sources: vLLM's and SGLang's installation pages (compute capability 7.5 upward, ROCm
    targets, XPU), llama.cpp's CUDA, HIP, SYCL and Metal back ends, Ollama's GPU page (5.0 upward).
    """
    if gpu.vendor == "nvidia":
        return _nvidia(gpu.compute_capability)
    if gpu.vendor == "amd":
        return _amd(gpu.gfx_target)
    if gpu.vendor == "apple":
        return ("llama.cpp", "ollama")
    if gpu.vendor == "intel":
        gaudi = "gaudi" in gpu.name.lower() or gpu.name.startswith("HL-")
        return () if gaudi else ("llama.cpp", "vllm")
    return ()


def disable_integrated(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """If there is a card, mark integrated GPUs as ``integrated``, without engines.

    An integrated GPU is used if it is the only GPU (Strix Halo), unless it is very small.
    """
    cards = any(gpu.memory_bytes and not gpu.unified_memory for gpu in gpus)
    return tuple(_disabled(gpu, cards) for gpu in gpus)


def _disabled(gpu: Gpu, has_card: bool) -> Gpu:
    unified = gpu.unified_memory and gpu.vendor in ("amd", "intel")
    unused = gpu.integrated or (has_card and unified)
    return replace(gpu, integrated=True, backends=()) if unused else gpu


def _nvidia(capability: str | None) -> tuple[str, ...]:
    if capability is None:
        return _ALL
    major, _, minor = capability.partition(".")
    cc = (
        (int(major), int(minor or 0))
        if major.isdecimal() and (minor or "0").isdecimal()
        else (99, 0)
    )
    if cc < (5, 0):
        return ()
    return _ALL if cc >= (7, 5) else ("llama.cpp", "ollama")


def _amd(gfx: str | None) -> tuple[str, ...]:
    vllm = gfx is None or gfx in VLLM_TARGETS
    sglang = gfx is None or gfx in SGLANG_TARGETS
    supported = {"llama.cpp": True, "vllm": vllm, "sglang": sglang, "ollama": True}
    return tuple(name for name, is_supported in supported.items() if is_supported)
