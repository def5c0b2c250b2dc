"""The least memory a model can run in, from what the catalog knows: for filters and sorting.

The bytes of its smallest published weights (four bits and more) that an engine here loads, plus a
twentieth and what a short request takes, which is no more than the weights of a tiny model;
``basis`` says from what. ``deploy.least`` does better where the architecture is known, and
``modelscan estimate`` answers for one model and workload.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.model import Model, Variant

# Bits per weight of whole files: GGUF types include their scales and the tensors kept larger.
_BITS = {
    "FP32": 32.0, "BF16": 16.0, "FP16": 16.0, "FP8": 8.3, "INT8": 8.3, "W8A8": 8.3, "W8A16": 8.3,
    "GPTQ-INT8": 8.5, "MXFP8": 8.5, "AWQ": 4.6, "AWQ-8BIT": 8.6, "GPTQ-INT4": 4.6, "INT4": 4.6,
    "W4A16": 4.6, "W4A8": 4.6, "AUTOROUND": 4.6, "NVFP4": 4.9, "MXFP4": 4.6, "FP4": 4.9,
    "BNB-4BIT": 4.8, "BNB-8BIT": 8.6, "Q8_0": 8.5, "Q6_K": 6.6, "Q5_K_M": 5.7, "Q5_K_S": 5.5,
    "Q5_0": 5.5, "Q5_1": 6.0, "Q4_K_M": 4.9, "Q4_K_S": 4.7, "Q4_0": 4.6, "Q4_1": 5.1,
    "IQ4_NL": 4.6, "IQ4_XS": 4.4, "8BIT": 8.6, "6BIT": 6.6, "5BIT": 5.6, "4BIT": 4.6,
}  # fmt: skip
_GGUF_USUAL = "Q4_K_M"  # what a GGUF repository of unknown content practically always holds
_ENGINE_FORMATS = ("safetensors", "gguf", "unknown")
OVERHEAD, REQUEST_BYTES = 1.05, 384 << 20


@dataclass(frozen=True, slots=True)
class Least:
    """``memory_bytes`` for the smallest usable weights (4 bits and more), and which they are."""

    memory_bytes: int
    quantization: str | None
    basis: str  # files | parameters | estimate


def least_memory(model: Model) -> Least | None:
    """None where neither bytes nor parameters are known. Below 4 bits does not count."""
    found = [least for v in model.variants if (least := _of_variant(v, model)) is not None]
    return min(found, key=lambda least: (least.memory_bytes, str(least.quantization)), default=None)


def _of_variant(variant: Variant, model: Model) -> Least | None:
    if variant.format not in _ENGINE_FORMATS:
        return None
    if variant.weight_bytes:
        return Least(_with_room(variant.weight_bytes), variant.quantization, "files")
    parameters = model.parameters or variant.parameters
    bits = bits_of(variant)
    if parameters is None or bits is None:
        return None
    label = variant.quantization or (_GGUF_USUAL if variant.format == "gguf" else None)
    return Least(_with_room(parameters * bits / 8), label, "parameters")


def _with_room(weight_bytes: float) -> int:
    return round(weight_bytes * OVERHEAD + min(REQUEST_BYTES, weight_bytes))


def bits_of(variant: Variant) -> float | None:
    """Bits per weight of a variant; None for an unknown label and for less than 4 bits."""
    label = (variant.quantization or "").upper().removeprefix("UD-")
    if not label:
        return _BITS[_GGUF_USUAL] if variant.format == "gguf" else _BITS["BF16"]
    if variant.format == "gguf" and label not in _BITS:
        stem = label.replace("_XL", "_M").replace("_L", "_M")
        return _BITS.get(stem)
    return _BITS.get(label)
