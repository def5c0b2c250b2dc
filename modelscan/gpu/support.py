"""Which engines can use a device at all. Empty means: detected, but no engine here supports it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu

# The gfx targets that their builds for ROCm have kernels for; llama.cpp and Ollama have Vulkan too.
VLLM_TARGETS = ("gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1101", "gfx1200", "gfx1201",
                "gfx1150", "gfx1151")  # fmt: skip
SGLANG_TARGETS = ("gfx942", "gfx950")
_ALL = ("llama.cpp", "vllm", "sglang", "ollama")


def backends_for(gpu: Gpu) -> tuple[str, ...]:
    """Engines by vendor and generation; an unknown generation is given the benefit of the doubt.

    Sources: vLLM's and SGLang's installation pages (compute capability 7.0 and 7.5 upward, ROCm
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


def beside_a_card(gpus: Sequence[Gpu]) -> tuple[Gpu, ...]:
    """Where there is a card, a processor's graphics part is ``integrated``: offered to no engine.

    Alone it is the GPU of the machine (Strix Halo), unless it is one of the tiny ones.
    """
    cards = any(gpu.memory_bytes and not gpu.unified_memory for gpu in gpus)
    return tuple(_beside(gpu, cards) for gpu in gpus)


def _beside(gpu: Gpu, cards: bool) -> Gpu:
    aside = gpu.integrated or (cards and gpu.unified_memory and gpu.vendor in ("amd", "intel"))
    return replace(gpu, integrated=True, backends=()) if aside else gpu


def _nvidia(capability: str | None) -> tuple[str, ...]:
    if capability is None:
        return _ALL
    major, _, minor = capability.partition(".")
    cc = (int(major), int(minor or 0)) if major.isdigit() and (minor or "0").isdigit() else (99, 0)
    if cc < (5, 0):
        return ()
    if cc < (7, 0):
        return ("llama.cpp", "ollama")
    return _ALL if cc >= (7, 5) else ("llama.cpp", "vllm", "ollama")


def _amd(gfx: str | None) -> tuple[str, ...]:
    vllm = gfx is None or gfx in VLLM_TARGETS
    sglang = gfx is None or gfx in SGLANG_TARGETS
    wanted = {"llama.cpp": True, "vllm": vllm, "sglang": sglang, "ollama": True}
    return tuple(name for name, runs in wanted.items() if runs)
