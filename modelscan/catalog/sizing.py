"""The least memory a model can run in, from what the catalog knows: for filters and sorting.

The bytes of its smallest published weights (four bits and more) that an engine here loads, plus a
twentieth and what a short request takes, which is no more than the weights of a tiny model;
``basis`` says from what. ``models.minimum_memory`` does better where the architecture is known, and
``modelscan estimate`` answers for one model and workload.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.model import Model, Variant
from modelscan.formats.quantization import quantization

_GGUF_USUAL = "Q4_K_M"  # what a GGUF repository of unknown content practically always holds
_ENGINE_FORMATS = ("safetensors", "gguf", "unknown")
OVERHEAD, REQUEST_BYTES = 1.05, 384 << 20
UNQUANTIZED_SHARE = 0.04  # embedding, output and norms stay at 16 bits; GGUF figures include them
_FEWEST_BITS = 4


@dataclass(frozen=True, slots=True)
class MinimumMemory:
    """``memory_bytes`` for the smallest usable weights (4 bits and more), and which they are."""

    memory_bytes: int
    quantization: str | None
    basis: str  # files | parameters | estimate


def lower_bound_memory(model: Model) -> MinimumMemory | None:
    """None where neither bytes nor parameters are known. Below 4 bits does not count."""
    found = [least for v in model.variants if (least := _of_variant(v, model)) is not None]
    return min(found, key=lambda least: (least.memory_bytes, str(least.quantization)), default=None)


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
    """Bits per weight of a variant's files; None for an unknown label and for less than 4 bits."""
    label = variant.quantization or (_GGUF_USUAL if variant.format == "gguf" else "BF16")
    entry = quantization(label)
    if entry is None or entry.value_bits < _FEWEST_BITS:
        return None
    if entry.method == "ggml":
        return entry.bits
    return entry.bits + UNQUANTIZED_SHARE * max(0.0, 16 - entry.bits)
