"""Quantization of safetensors weights by llm-compressor, for vLLM and SGLang."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.recipes.kind import RecipeKind, RecipeMethod, RecipeParameter
from modelscan.recipes.sizes import calibration_needs, rounding_needs

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase
    from modelscan.recipes.types import RecipeNeeds

# Result in bytes per byte in 16 bits: bits per weight of the scheme, with scales, divided by 16.
_SHARE = {
    "FP8_DYNAMIC": 0.52, "FP8_BLOCK": 0.52, "FP8": 0.52, "W8A8": 0.52, "W8A16": 0.52,
    "W4A16": 0.30, "W4A16_ASYM": 0.31, "NVFP4": 0.33, "NVFP4A16": 0.33, "MXFP4": 0.32,
}  # fmt: skip


def _method(name: str, description: str, scheme: str, algorithm: str = "data_free") -> RecipeMethod:
    need = "none" if algorithm == "data_free" else "required"
    fixed = {
        "scheme": scheme, "algorithm": algorithm, "ignore": ["lm_head", "re:.*mlp.gate$"],
    }  # fmt: skip
    return RecipeMethod(name, description, "required" if need == "required" else "none", fixed)


def size(case: RecipeCase) -> RecipeNeeds:
    """Memory, GPU and disk of the method."""
    share = _SHARE[case.parameters["scheme"]]
    algorithm = case.parameters["algorithm"]
    if algorithm == "data_free":
        return rounding_needs(case, result_share=share)
    return calibration_needs(case, hessians=algorithm == "gptq", result_share=share)


QUANTIZE = RecipeKind(
    name="quantize",
    description="Quantize safetensors weights for vLLM and SGLang (llm-compressor)",
    produces="model",
    script="quantize",
    methods=(
        _method("fp8", "weights and activations in FP8, scales at run time", "FP8_DYNAMIC"),
        _method("fp8_block", "FP8 with one scale per block of 128 x 128", "FP8_BLOCK"),
        _method("fp8_static", "FP8 with scales of activations from data", "FP8", "calibrated"),
        _method("int8", "weights and activations in INT8 (W8A8)", "W8A8"),
        _method("w8a16", "weights in 8 bits, rounded to nearest", "W8A16"),
        _method("w4a16", "weights in 4 bits, rounded to nearest", "W4A16"),
        _method("gptq", "weights in 4 bits by GPTQ, from data", "W4A16", "gptq"),
        _method("awq", "weights in 4 bits by AWQ, from data", "W4A16_ASYM", "awq"),
        _method("nvfp4", "NVFP4, scales of activations from data", "NVFP4", "calibrated"),
        _method("nvfp4a16", "weights in NVFP4, activations in 16 bits", "NVFP4A16"),
        _method("mxfp4", "MXFP4 weights and activations", "MXFP4"),
    ),
    parameters=(
        RecipeParameter("samples", 512, 1, 8192),
        RecipeParameter("sequence_tokens", 2048, 16, 131072),
        RecipeParameter("seed", 7, 0, 2**31 - 1),
    ),
    formats=("safetensors",),
    size=size,
    gpu="optional",
    aliases={
        "fp8_dynamic": "fp8", "w8a8": "int8", "w4a16_asym": "awq", "w4a16_gptq": "gptq",
        "w4a16_awq": "awq",
    },
)  # fmt: skip
