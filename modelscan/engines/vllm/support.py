"""What vLLM's builds run on: compute capability, ROCm targets, XPU; where others are preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.kernels import Kernels
from modelscan.engines.online import OnlineMethod
from modelscan.engines.support_rules import (
    Drawback,
    Support,
    absent,
    capability,
    dot,
    gfx_targets,
    old_kernels,
)
from modelscan.engines.versions import parse_version
from modelscan.engines.vllm import NAME
from modelscan.engines.vllm.methods import METHODS
from modelscan.engines.vllm.versions import DEFAULT_VERSION
from modelscan.gpu.support import VLLM_TARGETS

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.engines.launch_rules import LaunchQuestion
    from modelscan.engines.versions import Version

TITLE = "vLLM"
KERNELS = Kernels(
    engine=NAME,
    title=TITLE,
    minimum=(7, 0),
    amd_targets=frozenset(VLLM_TARGETS),
    methods=METHODS,
    default_version=DEFAULT_VERSION,
    xpu=True,
)
# By generation: RDNA 3 and older, RDNA 4. Measured on Strix Halo
# (github.com/kyuz0/amd-strix-halo-toolboxes): Qwen3.5-35B-A3B Q8_0 46 tokens/s in llama.cpp,
# 11 to 26 in BF16 in vLLM.
_RADEON_COSTS = {"gfx10": 0.15, "gfx11": 0.15, "gfx12": 0.05}


# Since then weights are quantized layer by layer (vllm-project/vllm#33814 refactors it); before,
# all of them were loaded in 16 bits first (#7200).
_LAYERWISE_SINCE: Version = (0, 14, 0)


_BNB = "bitsandbytes"
_BNB_LOADER_SINCE: Version = (0, 8, 0)  # before, it also needed --load-format


def online_method(quantization: str | None, version: str | None) -> OnlineMethod | None:
    """How this version quantizes 16-bit weights to a format; None if it does not.

    bitsandbytes needs the list of fused matrices that adapters need too (code:
    bitsandbytes_loader.py), and for experts a further one that few classes have.
    """
    facts = KERNELS.facts(version)
    number = parse_version(facts.version)
    if quantization == "FP8" and number >= _LAYERWISE_SINCE:
        return OnlineMethod("fp8")
    loads = facts.has("method", _BNB) and number >= _BNB_LOADER_SINCE
    if quantization == "BNB-4bit" and loads:
        package = f"pip install {_BNB}"
        return OnlineMethod(_BNB, package, frozenset(facts.rows("lora")), experts=False)
    return None


def bfloat16_rule(question: LaunchQuestion) -> Support | None:
    """``--dtype bfloat16`` where vLLM refuses it (code: ``check_if_supports_dtype``)."""
    gpu = next(iter(question.gpus), None)
    if gpu is None or question.workload.parameter("dtype") != "bfloat16":
        return None
    current = capability(gpu.compute_capability) if gpu.vendor == "nvidia" else None
    if current is not None and current < (8, 0):
        return absent(
            f"vLLM computes in bfloat16 from compute capability 8.0 on, {gpu.name} has "
            f"{dot(current)}: --param dtype=half"
        )
    if "a770" in gpu.name.lower():
        return absent(f"vLLM does not compute in bfloat16 on {gpu.name}: --param dtype=half")
    return None


def drawback(gpu: Gpu) -> Drawback | None:
    """Why another engine is preferred on this GPU; None where vLLM is at home."""
    if gpu.vendor != "amd":
        return old_kernels(gpu, TITLE)
    costs = [_RADEON_COSTS.get(target[:5], 0.0) for target in gfx_targets(gpu.gfx_target)]
    if not any(costs):
        return None
    return Drawback(
        max(costs),
        f"vLLM's ROCm kernels are made for Instinct cards; on {gpu.gfx_target} llama.cpp is usual",
    )
