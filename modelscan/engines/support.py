"""Which format runs on which engine on which GPU: the hard constraints, before any arithmetic.

Sources: vLLM's table "Supported Hardware" for quantization kernels and its notes on FP8 (W8A8 from
compute capability 8.9, Marlin weight-only below), INT8 (from 7.5, not on Blackwell) and FP4;
SGLang's list of supported GPUs; llama.cpp's and Ollama's build options.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.gpu import Gpu, Inventory
from modelscan.formats.quantization import canonical, is_weight_only_four_bit
from modelscan.gpu.support import SGLANG_TARGETS, VLLM_TARGETS

NATIVE, WEIGHT_ONLY = "native", "weight_only"
CHAT_TASKS = ("chat", "embedding", "rerank")


@dataclass(frozen=True, slots=True)
class Support:
    """``kind`` is native | weight_only | None (absent); ``reason`` why, ``notes`` what else."""

    kind: str | None
    reason: str
    notes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.kind is not None


def capability(text: str | None) -> tuple[int, int] | None:
    """``"8.9"`` -> (8, 9): versions, so that 10.0 > 9.0."""
    if not text:
        return None
    major, _, minor = text.partition(".")
    return (int(major), int(minor or 0)) if major.isdigit() and (minor or "0").isdigit() else None


def engine_formats(backend: str, *, unsafe: bool = False) -> tuple[str, ...]:
    """The file formats an engine loads; ``unsafe``: pickles are allowed, too."""
    if backend in ("llama.cpp", "ollama"):
        return ("gguf",)
    return ("safetensors", "pickle") if unsafe else ("safetensors",)


def format_support(file_format: str, backend: str, *, unsafe: bool = False) -> Support:
    """Format x engine, before any hardware is looked at."""
    if file_format in engine_formats(backend, unsafe=unsafe):
        return Support(NATIVE, f"{backend} loads {file_format} files")
    if file_format == "mlx":
        return Support(None, "MLX weights run on Apple silicon with mlx-lm, which none of the "
                             "engines here is")  # fmt: skip
    if file_format == "pickle" and not unsafe:
        return Support(
            None, "pickle files can run code when they are loaded: refused without --allow-unsafe"
        )
    if file_format == "gguf":
        return Support(None, f"GGUF files are for llama.cpp and Ollama, not {backend}")
    return Support(None, f"{backend} does not load {file_format} files")


def task_support(task: str, backend: str) -> Support:
    """Task x engine: what an engine can serve."""
    if task not in CHAT_TASKS:
        return Support(None, f"no engine here serves {task.replace('_', ' ')} models")
    if task == "rerank" and backend == "ollama":
        return Support(None, "Ollama has no endpoint for rerankers")
    return Support(NATIVE, f"{backend} serves {task} models")


def platform_support(backend: str, inventory: Inventory) -> Support:
    """Engine x operating system; a simulated machine may be any."""
    platform = (inventory.host.platform or "linux").lower()
    if backend in ("vllm", "sglang") and not inventory.simulated and "linux" not in platform:
        return Support(None, f"{backend} runs on Linux only, this is {platform}")
    return Support(NATIVE, platform)


def gpu_support(
    file_format: str,
    quantization: str | None,
    backend: str,
    gpu: Gpu,
    *,
    original: bool = True,
) -> Support:
    """Format x engine x GPU. ``original``: the model was published in this format."""
    if gpu.vendor == "intel" and not gpu.backends:  # Gaudi: none of their Intel builds is for it
        return Support(None, f"{backend} does not run on {gpu.name} here")
    if backend in ("llama.cpp", "ollama"):
        return _gguf_on(gpu, backend)
    if canonical(quantization) == "MXFP4" and not original and not _has_fp4(gpu):
        return Support(None, "MXFP4 made from other weights needs FP4 arithmetic (compute "
                             "capability 10.0, gfx950)")  # fmt: skip
    by_vendor = {"nvidia": _nvidia, "amd": _amd, "intel": _intel}.get(gpu.vendor)
    if by_vendor is None:
        return Support(None, f"{backend} does not run on {gpu.vendor} devices here")
    return by_vendor(quantization, backend, gpu)


def _has_fp4(gpu: Gpu) -> bool:
    found = capability(gpu.compute_capability)
    if gpu.vendor == "nvidia":
        return found is None or found >= (10, 0)
    return "gfx950" in _gfx_targets(gpu.gfx_target)


def host_support(
    file_format: str, backend: str, inventory: Inventory, *, forced: bool = False
) -> Support:
    """Format x engine without any GPU. ``forced``: the user has a build of vLLM for the CPU."""
    if file_format == "gguf" and backend in ("llama.cpp", "ollama"):
        return Support(NATIVE, f"{backend} runs on the CPU")
    if forced and backend == "vllm" and file_format in ("safetensors", "pickle"):
        return Support(NATIVE, "a vLLM built for the CPU, as asked with --force")
    return Support(None, f"{backend} needs a GPU")


def _gguf_on(gpu: Gpu, backend: str) -> Support:
    if gpu.vendor == "nvidia":
        found = capability(gpu.compute_capability)
        if found is not None and found < (5, 0):
            return Support(None, f"{backend} needs compute capability 5.0, this GPU has "
                                 f"{gpu.compute_capability}")  # fmt: skip
        return Support(NATIVE, "CUDA")
    kinds = {"amd": "ROCm or Vulkan", "apple": "Metal", "intel": "SYCL or Vulkan"}
    if gpu.vendor in kinds:
        if backend == "ollama" and gpu.vendor == "intel":
            return Support(None, "Ollama does not use Intel GPUs")
        return Support(NATIVE, kinds[gpu.vendor])
    if gpu.vendor in ("generic", "unknown", ""):
        return Support(NATIVE, "unknown vendor")
    return Support(None, f"{backend} has no build for {gpu.vendor} here")


# NVIDIA: lowest compute capability of each engine, and of each format on it.
_ENGINE_MINIMUM = {"vllm": (7, 0), "sglang": (7, 5)}
_FP8 = frozenset({"FP8", "FP8-BLOCK", "MXFP8"})


def _nvidia(quantization: str | None, backend: str, gpu: Gpu) -> Support:
    found = capability(gpu.compute_capability)
    if found is None:  # --gpu 24GiB: nothing known but its size
        note = "the GPU's compute capability is unknown: format support not checked"
        return Support(NATIVE, "compute capability unknown", (note,))
    minimum = _ENGINE_MINIMUM[backend]
    here = gpu.compute_capability
    if found < minimum:
        return Support(None, f"{backend} needs compute capability {_dot(minimum)}, "
                             f"this GPU has {here}")  # fmt: skip
    name = canonical(quantization)
    if name in (None, "BF16", "FP16", "FP32"):
        return _sixteen_bit(name, found, here)
    rule = _NVIDIA_RULES.get(str(name))
    if rule is None and is_weight_only_four_bit(name):
        rule = _NVIDIA_RULES["INT4"]
    if rule is None:
        return Support(None, f"{name} is no format that {backend} is known to load")
    return rule.judge(str(name), found, here)


def _sixteen_bit(name: str | None, found: tuple[int, int], here: str | None) -> Support:
    if name == "BF16" and found < (8, 0):
        return Support(WEIGHT_ONLY, f"BF16 needs compute capability 8.0, this GPU has {here}",
                       ("computed in float16 (--dtype half): models with large activations may "
                        "overflow",))  # fmt: skip
    return Support(NATIVE, f"{name or '16-bit'} is native at compute capability {here}")


@dataclass(frozen=True, slots=True)
class _Rule:
    """Native from ``native`` up to ``below``; weight-only from ``weight_only``; None: never."""

    native: tuple[int, int] | None
    weight_only: tuple[int, int] | None = None
    below: tuple[int, int] | None = None
    note: str | None = None

    def judge(self, name: str, found: tuple[int, int], here: str | None) -> Support:
        notes = (self.note,) if self.note else ()
        in_time = self.below is None or found < self.below
        if self.native is not None and found >= self.native and in_time:
            return Support(NATIVE, f"{name} is native at compute capability {here}", notes)
        if self.weight_only is not None and found >= self.weight_only and in_time:
            text = f"{name} is weight-only at compute capability {here}: 16-bit arithmetic (Marlin)"
            return Support(WEIGHT_ONLY, text, notes)
        if not in_time:
            return Support(None, f"{name} kernels stop before compute capability "
                                 f"{_dot(self.below)}, this GPU has {here}")  # fmt: skip
        lowest = min(c for c in (self.native, self.weight_only, (99, 0)) if c is not None)
        if lowest == (99, 0):
            return Support(None, f"{name} has no kernel on NVIDIA GPUs here")
        return Support(None, f"{name} needs compute capability {_dot(lowest)}, this GPU has {here}")


_NVIDIA_RULES = {
    "FP8": _Rule((8, 9), (7, 5)),
    "FP8-BLOCK": _Rule((8, 9), (8, 0), note="block-scaled FP8 has its fast kernels from 9.0"),
    "MXFP8": _Rule((10, 0)),
    "INT8": _Rule((7, 5), below=(10, 0)),
    "W8A16": _Rule(None, (7, 5)),
    "GPTQ-INT8": _Rule(None, (7, 0)),
    "INT4": _Rule(None, (7, 5)),
    "AWQ": _Rule(None, (7, 5)),
    "GPTQ-INT4": _Rule(None, (7, 0)),
    "NVFP4": _Rule((10, 0)),
    "MXFP4": _Rule((10, 0), (8, 0)),
    "BNB-4BIT": _Rule(None, (7, 0)),
    "BNB-8BIT": _Rule(None, (7, 0)),
}

_AMD_DATA_CENTRE = ("gfx90a", "gfx942", "gfx950")
_AMD_FP8 = ("gfx942", "gfx950", "gfx1200", "gfx1201")


def _amd(quantization: str | None, backend: str, gpu: Gpu) -> Support:
    targets = _gfx_targets(gpu.gfx_target)
    known = VLLM_TARGETS if backend == "vllm" else SGLANG_TARGETS
    if targets and not targets & set(known):
        return Support(None, f"{backend} for ROCm does not support {gpu.gfx_target}")
    name = canonical(quantization)
    if name in (None, "BF16", "FP16", "FP32"):
        return Support(NATIVE, f"{name or '16-bit'} is native on {gpu.gfx_target or 'AMD'}")
    if name in _FP8 and name != "MXFP8":
        if targets & set(_AMD_FP8):
            return Support(NATIVE, f"FP8 is native on {gpu.gfx_target}")
        return Support(None, f"FP8 needs gfx942, gfx950 or gfx12, this GPU is {gpu.gfx_target}")
    if name == "MXFP4":
        if "gfx950" in targets:
            return Support(NATIVE, "MXFP4 is native on gfx950")
        if "gfx942" in targets:
            return Support(WEIGHT_ONLY, "MXFP4 is weight-only on gfx942")
        return Support(None, f"MXFP4 needs gfx942 or gfx950, this GPU is {gpu.gfx_target}")
    if is_weight_only_four_bit(name) or name == "GPTQ-INT8":
        return Support(WEIGHT_ONLY, f"{name} runs on ROCm without Marlin: slower than on NVIDIA")
    return Support(None, f"{name} has no ROCm kernel")


def _gfx_targets(text: str | None) -> frozenset[str]:
    """``gfx1100-1103`` and ``gfx1200/1201`` as sets of targets."""
    if not text:
        return frozenset()
    first, _, rest = text.replace("/", "-").partition("-")
    if not rest or not rest.isdigit() or not first.removeprefix("gfx").isdigit():
        return frozenset({first})
    start = int(first.removeprefix("gfx"))
    return frozenset(f"gfx{number}" for number in range(start, int(rest) + 1))


def _intel(quantization: str | None, backend: str, gpu: Gpu) -> Support:
    name = canonical(quantization)
    if backend != "vllm":
        return Support(None, f"{backend} does not run on Intel GPUs")
    if name in (None, "BF16", "FP16") or is_weight_only_four_bit(name):
        return Support(NATIVE, "vLLM's XPU build", ("needs vLLM built for Intel XPU",))
    return Support(None, f"{name} has no kernel in vLLM's XPU build")


def _dot(version: tuple[int, int] | None) -> str:
    return "?" if version is None else f"{version[0]}.{version[1]}"
