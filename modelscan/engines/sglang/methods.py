"""SGLang's quantization methods by format and by quantizer.

Sources: ``srt/layers/quantization`` of 0.4 to 0.5.23.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.engines.methods import COMPRESSED, FASTER_BITS, Method, MethodNames
from modelscan.engines.support_rules import Support, absent

if TYPE_CHECKING:
    from modelscan.core.checkpoint import StoredQuantization
    from modelscan.engines.version_tables import VersionFacts

_GPTQ = ("gptq", "gptq_marlin")
_MODELOPT_FP8 = ("modelopt_fp8", "modelopt")
_ROUND = ("auto-round",)


def _adjust(
    method: Method, label: str | None, stored: StoredQuantization | None, facts: VersionFacts
) -> Method | Support:
    """GPTQ where a version has Marlin alone for it: 4 or 8 bits, symmetric (gptq.py,
    ``is_gptq_marlin_compatible``).
    """
    if method.name != "gptq_marlin" or facts.has("method", "gptq") or stored is None:
        return method
    if stored.bits not in (None, *FASTER_BITS):
        reason = f"GPTQ of {stored.bits} bits has no kernel in SGLang {facts.version}"
        return absent(f"{reason}: 4 or 8 bits")
    if not stored.symmetric:
        return absent(f"asymmetric GPTQ has no kernel in SGLang {facts.version}")
    return method


METHODS = MethodNames(
    title="SGLang",
    labels={
        "FP8": ("fp8", COMPRESSED), "FP8-BLOCK": ("fp8",), "MXFP8": ("mxfp8",),
        "INT8": (COMPRESSED,), "W8A16": (COMPRESSED,), "INT4": (COMPRESSED,),
        "AWQ": ("awq", "awq_marlin"), "GPTQ-INT4": _GPTQ, "GPTQ-INT8": _GPTQ,
        "GPTQ-INT2": ("gptq",), "GPTQ-INT3": ("gptq",),
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
    adjust=_adjust,
)  # fmt: skip
