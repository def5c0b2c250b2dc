"""Which quantization runs on which GPU: the rules' form, and those that several engines share.

Sources: vLLM's table "Supported Hardware" for quantization kernels and its notes on FP8 (W8A8 from
compute capability 8.9, Marlin weight-only below), INT8 (from 7.5, not on Blackwell) and FP4;
SGLang's list of supported GPUs; llama.cpp's and Ollama's build options.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.verdict import SupportKind

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu

NATIVE: SupportKind = "native"
WEIGHT_ONLY: SupportKind = "weight_only"
SPEECH = "speech_to_text"  # a task
Capability = tuple[int, int]
SIXTEEN_BIT = (None, "BF16", "FP16", "FP32")


@dataclass(frozen=True, slots=True)
class Support:
    """``kind`` None: not supported; ``reason`` explains it, ``notes`` are further remarks.
    ``unknown``: it is not known to be supported, and not known to be refused either. ``emulated``:
    the weights are converted at every step, so that it runs, and slowly.
    """

    kind: SupportKind | None
    reason: str
    notes: tuple[str, ...] = ()
    unknown: bool = False
    emulated: bool = False

    def __bool__(self) -> bool:
        return self.kind is not None


class Drawback(NamedTuple):
    """Why another engine is preferred on a GPU; ``cost`` in the unit of ``planner.rank``."""

    cost: float
    reason: str


def absent(reason: str) -> Support:
    """Not supported, with the reason."""
    return Support(None, reason)


@functools.lru_cache(maxsize=256)
def capability(text: str | None) -> Capability | None:
    """``"8.9"`` -> (8, 9): versions, so that 10.0 > 9.0."""
    if not text:
        return None
    major, _, minor = text.partition(".")
    return (
        (int(major), int(minor or 0)) if major.isdecimal() and (minor or "0").isdecimal() else None
    )


class KernelRule(NamedTuple):
    """Native from ``native`` up to ``below``; weight-only from ``weight_only``, with ``kernels``;
    None: never.
    """

    native: Capability | None
    weight_only: Capability | None = None
    below: Capability | None = None
    note: str | None = None
    kernels: str = "Marlin"

    def judge(self, name: str, current: Capability) -> Support:
        """The support of format ``name`` at compute capability ``current``."""
        notes = (self.note,) if self.note else ()
        here = dot(current)
        if self.below is not None and current >= self.below:
            return absent(
                f"{name} kernels stop before compute capability {dot(self.below)}, this GPU has "
                f"{here}"
            )
        if self.native is not None and current >= self.native:
            return Support(NATIVE, f"{name} is native at compute capability {here}", notes)
        if self.weight_only is not None and current >= self.weight_only:
            text = f"{name} is weight-only at compute capability {here}: 16-bit arithmetic"
            return Support(WEIGHT_ONLY, f"{text} ({self.kernels})", notes)
        minima = [c for c in (self.native, self.weight_only) if c is not None]
        if not minima:
            return absent(f"{name} has no kernel on NVIDIA GPUs here")
        return absent(f"{name} needs compute capability {dot(min(minima))}, this GPU has {here}")


# Kernels from vLLM, which SGLang also uses.
NVIDIA_KERNELS: Mapping[str, KernelRule] = {
    "FP8": KernelRule((8, 9), (7, 5)),
    "FP8-BLOCK": KernelRule(
        (8, 9), (8, 0), note="block-scaled FP8 has its fast kernels from 9.0"
    ),
    "MXFP8": KernelRule((10, 0), (8, 0)),
    "INT8": KernelRule((7, 5), below=(10, 0)),
    "W8A16": KernelRule(None, (7, 5)),
    "GPTQ-INT8": KernelRule(None, (7, 0)),
    "TORCHAO": KernelRule(
        None, (7, 5), note="needs the Python package torchao, which the engine does not install",
        kernels="torchao's kernels",
    ),
    "INT4": KernelRule(None, (7, 5)),
    "AWQ": KernelRule(None, (7, 5)),
    "GPTQ-INT4": KernelRule(None, (7, 0)),
    "NVFP4": KernelRule((10, 0), (8, 0)),
    "MXFP4": KernelRule((10, 0), (8, 0)),
    "BNB-4BIT": KernelRule(None, (7, 0)),
    "BNB-8BIT": KernelRule(None, (7, 0)),
}  # fmt: skip


def sixteen_bit(name: str | None, current: Capability) -> Support:
    """BF16, FP16 or FP32 weights on an NVIDIA GPU."""
    here = dot(current)
    if name == "BF16" and current < (8, 0):
        return Support(
            WEIGHT_ONLY, f"BF16 needs compute capability 8.0, this GPU has {here}",
            ("computed in float16 (--dtype half): models with large activations may overflow",),
        )  # fmt: skip
    return Support(NATIVE, f"{name or '16-bit'} is native at compute capability {here}")


def amd_fp8(targets: frozenset[str], gpu: Gpu) -> Support:
    """FP8 weights on an AMD GPU."""
    if targets & {"gfx942", "gfx950", "gfx1200", "gfx1201"}:
        return Support(NATIVE, f"FP8 is native on {gpu.gfx_target}")
    return absent(f"FP8 needs gfx942, gfx950 or gfx12, this GPU is {gpu.gfx_target}")


def has_fp4(gpu: Gpu) -> bool:
    """Whether a GPU computes FP4; True where that is not known."""
    current = capability(gpu.compute_capability)
    if gpu.vendor == "nvidia":
        return current is None or current >= (10, 0)
    return "gfx950" in gfx_targets(gpu.gfx_target)


def gfx_targets(text: str | None) -> frozenset[str]:
    """``gfx1100-1103`` and ``gfx1200/1201`` as sets of targets."""
    if not text:
        return frozenset()
    first, _, rest = text.replace("/", "-").partition("-")
    if not rest or not rest.isdecimal() or not first.removeprefix("gfx").isdecimal():
        return frozenset({first})
    start = int(first.removeprefix("gfx"))
    return frozenset(f"gfx{number}" for number in range(start, int(rest) + 1))


def idle_units(gpu: Gpu, title: str) -> Drawback | None:
    """Why ``title``, which computes no 4-bit floats, wastes an NVIDIA chip with unified memory
    (GB10) that does: its maker publishes weights and recipes in that format; else None.
    """
    current = capability(gpu.compute_capability) or (0, 0)
    if gpu.vendor != "nvidia" or not gpu.unified_memory or current < (10, 0):
        return None
    if "jetson" in gpu.name.lower():
        return None
    return Drawback(
        0.06, f"{title} leaves the FP8 and FP4 units of {gpu.name} idle; vLLM is usual there"
    )


def old_kernels(gpu: Gpu, title: str) -> Drawback | None:
    """Why ``title``, whose kernels are CUDA's newest, runs badly on an NVIDIA part; else None.

    PyTorch's builds for CUDA 12.8 and later have no kernels for Volta.
    """
    if gpu.vendor != "nvidia":
        return None
    if "jetson" in gpu.name.lower():
        return Drawback(
            0.15, f"{title} publishes no packages for Jetson modules; llama.cpp is usual there"
        )
    current = capability(gpu.compute_capability) or (99, 0)
    here = dot(current)
    if current < (7, 5):
        return Drawback(
            0.35, f"current {title} builds have no kernels for compute capability {here}; "
            "llama.cpp is usual there",
        )  # fmt: skip
    if current < (8, 0):
        return Drawback(
            0.12, f"{title} has no bfloat16 and no FlashAttention 2 at compute capability {here}; "
            "llama.cpp is usual there",
        )  # fmt: skip
    return None


# GGUF engines: the vendors whose GPUs their builds use, and through what.
GGUF_BUILDS: Mapping[str, str] = {
    "nvidia": "CUDA", "amd": "ROCm or Vulkan", "apple": "Metal", "intel": "SYCL or Vulkan",
}  # fmt: skip
_GGUF_MINIMUM: Capability = (5, 0)


def gguf_on(gpu: Gpu, engine: str) -> Support:
    """GGUF files on one GPU: any quantization, on the hardware its builds support."""
    current = capability(gpu.compute_capability) if gpu.vendor == "nvidia" else None
    if current is not None and current < _GGUF_MINIMUM:
        return absent(
            f"{engine} needs compute capability {dot(_GGUF_MINIMUM)}, this GPU has "
            f"{gpu.compute_capability}"
        )
    if gpu.vendor in GGUF_BUILDS:
        return Support(NATIVE, GGUF_BUILDS[gpu.vendor])
    if gpu.vendor in ("generic", "unknown", ""):
        return Support(NATIVE, "unknown vendor")
    return absent(f"{engine} has no build for {gpu.vendor} here")


def dot(version: Capability) -> str:
    """(8, 9) -> ``8.9``."""
    return f"{version[0]}.{version[1]}"
