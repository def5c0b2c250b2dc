"""vLLM's quantization methods by format and by quantizer, and what its tables do not state.

Sources: ``model_executor/layers/quantization`` and ``model_executor/kernels`` of 0.7 to 0.33.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.methods import COMPRESSED, Method, MethodNames
from modelscan.engines.support_rules import Support, absent

if TYPE_CHECKING:
    from modelscan.core.checkpoint import StoredQuantization
    from modelscan.engines.version_tables import VersionFacts

_GPTQ = ("gptq", "gptq_marlin")
_NVFP4 = ("modelopt_fp4", "nvfp4")
_MARLIN_BITS = (4, 8)
_MARLIN_MINIMUM = (7, 5)
_ROUND = ("auto-round", "inc")


def _adjust(
    method: Method, label: str | None, stored: StoredQuantization | None, facts: VersionFacts
) -> Method | Support:
    """GPTQ from the version on whose only kernel for it is Marlin (``auto_gptq``): capability 7.5,
    4 or 8 bits, symmetric; its class still states 6.0 (auto_gptq.py).
    """
    if method.name not in _GPTQ or not facts.has("method", "auto_gptq"):
        return method
    bits = stored.bits if stored and stored.bits else _bits(label)
    since = facts.when("method", "auto_gptq")
    if bits not in _MARLIN_BITS:
        return absent(f"GPTQ of {bits} bits has no kernel in vLLM {since}: 4 or 8 bits")
    if stored and not stored.symmetric:
        return absent(f"asymmetric GPTQ has no kernel in vLLM {since}")
    return Method(method.name, _MARLIN_MINIMUM, method.types)


def _bits(label: str | None) -> int:
    digits = (label or "").rpartition("INT")[2]
    return int(digits) if digits.isdecimal() else 4


METHODS = MethodNames(
    title="vLLM",
    labels={
        "FP8": ("fp8", COMPRESSED), "FP8-BLOCK": ("fp8",), "MXFP8": ("modelopt_mxfp8", "mxfp8"),
        "INT8": (COMPRESSED,), "W8A16": (COMPRESSED,), "INT4": (COMPRESSED,), "W4A8": (COMPRESSED,),
        "AWQ": ("awq", "awq_marlin"), "GPTQ-INT4": _GPTQ, "GPTQ-INT8": _GPTQ,
        "GPTQ-INT2": _GPTQ, "GPTQ-INT3": _GPTQ, "NVFP4": (*_NVFP4, COMPRESSED),
        "MXFP4": ("mxfp4",), "BNB-4BIT": ("bitsandbytes",), "BNB-8BIT": ("bitsandbytes",),
    },
    checkpoints={
        "awq": ("awq",), "gptq": _GPTQ, "gptqmodel": _GPTQ, "gptq_marlin": ("gptq_marlin",),
        "compressed-tensors": (COMPRESSED,), "compressed_tensors": (COMPRESSED,),
        "auto-round": _ROUND, "autoround": _ROUND, "auto_round": _ROUND, "inc": ("inc",),
        "intel/auto-round": _ROUND, "fp8": ("fp8",), "mxfp4": ("mxfp4",),
        "mxfp8": ("mxfp8", "modelopt_mxfp8"),
    },
    algorithms=(
        ("MIXED", ("modelopt_mixed",)), ("NVFP4", _NVFP4), ("MXFP8", ("modelopt_mxfp8",)),
        ("FP8", ("modelopt",)),
    ),
    schemes={
        "FP8": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
        "FP8-BLOCK": ("CompressedTensorsW8A8Fp8", "CompressedTensorsW8A16Fp8"),
        "INT8": ("CompressedTensorsW8A8Int8",), "INT4": ("CompressedTensorsWNA16",),
        "W8A16": ("CompressedTensorsWNA16",),
        "W4A8": ("CompressedTensorsW4A8Fp8", "CompressedTensorsW4A8Int"),
        "NVFP4": ("CompressedTensorsW4A4Fp4", "CompressedTensorsW4A16Fp4"),
        "MXFP4": ("CompressedTensorsW4A4Mxfp4", "CompressedTensorsW4A16Mxfp4"),
        "MXFP8": ("CompressedTensorsW8A8Mxfp8",),
    },
    adjust=_adjust,
)  # fmt: skip
