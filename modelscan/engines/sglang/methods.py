"""SGLang's quantization methods by format and by quantizer.

Sources: ``srt/layers/quantization`` of 0.4 to 0.5.23.
"""

from __future__ import annotations

from modelscan.engines.methods import COMPRESSED, MethodNames

_GPTQ = ("gptq", "gptq_marlin")
_MODELOPT_FP8 = ("modelopt_fp8", "modelopt")
_ROUND = ("auto-round",)

METHODS = MethodNames(
    title="SGLang",
    labels={
        "FP8": ("fp8", COMPRESSED), "FP8-BLOCK": ("fp8",), "MXFP8": ("mxfp8",),
        "INT8": (COMPRESSED,), "W8A16": (COMPRESSED,), "INT4": (COMPRESSED,),
        "AWQ": ("awq", "awq_marlin"), "GPTQ-INT4": _GPTQ, "GPTQ-INT8": _GPTQ,
        "NVFP4": ("modelopt_fp4", COMPRESSED), "MXFP4": ("mxfp4",),
        "BNB-4BIT": ("bitsandbytes",), "BNB-8BIT": ("bitsandbytes",),
    },
    checkpoints={
        "awq": ("awq",), "gptq": _GPTQ, "gptqmodel": _GPTQ, "fp8": ("fp8",),
        "compressed-tensors": (COMPRESSED,), "compressed_tensors": (COMPRESSED,),
        "auto-round": _ROUND, "autoround": _ROUND, "intel/auto-round": _ROUND,
        "mxfp4": ("mxfp4",), "mxfp8": ("mxfp8",),
    },
    algorithms=(
        ("MIXED", ("modelopt_mixed",)), ("NVFP4", ("modelopt_fp4",)), ("MXFP8", ("mxfp8",)),
        ("FP8", _MODELOPT_FP8),
    ),
    borrows=True,  # vLLM's classes, up to 0.5.4
    schemes={
        "FP8": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
        "FP8-BLOCK": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
        "INT8": ("CompressedTensorsW8A8Int8",), "INT4": ("CompressedTensorsWNA16",),
        "W8A16": ("CompressedTensorsWNA16",),
        "NVFP4": ("CompressedTensorsW4A4Fp4", "CompressedTensorsW4A16Fp4"),
    },
)  # fmt: skip
