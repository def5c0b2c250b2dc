"""The minimum memory of a model, from the catalog's facts: for filters and sorting.

The bytes of its smallest published weights (at least 4 bits) that a supported engine loads, plus 5
% and the memory of a short request, at most the size of the weights; ``basis`` tells from what.
``models.minimum_memory`` is more exact if the architecture is known, and ``modelscan estimate``
computes it for one model and workload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.formats.quantization import quantization

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant

_GGUF_USUAL = "Q4_K_M"  # almost every GGUF repository contains it
_ENGINE_FORMATS = ("safetensors", "gguf", "unknown")
OVERHEAD, REQUEST_BYTES = 1.05, 384 << 20
UNQUANTIZED_SHARE = 0.04  # embedding, output and norms stay at 16 bits; GGUF figures include them
_MIN_BITS = 4


@dataclass(frozen=True, slots=True)
class MinimumMemory:
    """The minimum memory in bytes, with the smallest usable weights (at least 4 bits)."""

    memory_bytes: int
    quantization: str | None
    basis: str  # files | parameters | estimate


def lower_bound_memory(model: Model) -> MinimumMemory | None:
    """The lower bound; None if neither bytes nor parameters are known.

    Weights below 4 bits are ignored.
    """
    candidates = [memory for v in model.variants if (memory := _of_variant(v, model)) is not None]
    return min(candidates, key=lambda m: (m.memory_bytes, str(m.quantization)), default=None)


def _of_variant(variant: Variant, model: Model) -> MinimumMemory | None:
    if variant.format not in _ENGINE_FORMATS:
        return None
    if variant.weight_bytes:
        return MinimumMemory(_with_room(variant.weight_bytes), variant.quantization, "files")
    parameters = model.parameters or variant.parameters
    bits = bits_of(variant)
    if parameters is None or bits is None:
        return None
    label = variant.quantization or (_GGUF_USUAL if variant.format == "gguf" else None)
    return MinimumMemory(_with_room(parameters * bits / 8), label, "parameters")


def _with_room(weight_bytes: float) -> int:
    return round(weight_bytes * OVERHEAD + min(REQUEST_BYTES, weight_bytes))


def bits_of(variant: Variant) -> float | None:
    """Bits per weight of a variant's files; None for an unknown label and below 4 bits."""
    label = variant.quantization or (_GGUF_USUAL if variant.format == "gguf" else "BF16")
    entry = quantization(label)
    if entry is None or entry.value_bits < _MIN_BITS:
        return None
    if entry.method == "ggml":
        return entry.bits
    return entry.bits + UNQUANTIZED_SHARE * max(0.0, 16 - entry.bits)
