"""What SGLang's builds run on: compute capability, ROCm targets."""

from __future__ import annotations

from modelscan.engines.kernels import Kernels
from modelscan.engines.online import OnlineMethod
from modelscan.engines.sglang import NAME
from modelscan.engines.sglang.methods import METHODS
from modelscan.engines.sglang.versions import DEFAULT_VERSION
from modelscan.gpu.support import SGLANG_TARGETS

_BNB = "bitsandbytes"
# Classes with a ``bitsandbytes_stacked_params_mapping`` in 0.4 to 0.5.23; FP8 is made after all
# weights are loaded in 16 bits, which takes no less memory.
_BNB_CLASSES = frozenset({
    "ApertusForCausalLM", "ArceeForCausalLM", "Exaone4ForCausalLM", "Gemma2ForCausalLM",
    "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", "LlamaForCausalLM", "MiMoForCausalLM",
    "MllamaForConditionalGeneration", "Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration",
    "Qwen2_5_VLForConditionalGeneration", "Qwen3ForCausalLM", "SolarForCausalLM",
})  # fmt: skip

KERNELS = Kernels(
    engine=NAME,
    title="SGLang",
    minimum=(7, 5),
    amd_targets=frozenset(SGLANG_TARGETS),
    methods=METHODS,
    default_version=DEFAULT_VERSION,
)


def online_method(quantization: str | None, version: str | None) -> OnlineMethod | None:
    """How this version quantizes 16-bit weights to a format; None if it does not."""
    if quantization != "BNB-4bit" or not KERNELS.facts(version).has("method", _BNB):
        return None
    return OnlineMethod(_BNB, f"pip install {_BNB}", _BNB_CLASSES, experts=False)
