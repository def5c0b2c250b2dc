"""What a checkpoint's configuration states in words that only engines read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredQuantization:
    """How a checkpoint says that it was quantized.

    ``method``: ``quant_method`` in lower case; ``algorithm``: ModelOpt's ``quant_algo`` or the
    ``format`` of compressed-tensors; ``group``: inputs that share a scale (None: a whole column);
    ``block``: side of FP8 blocks; ``reordered``: GPTQ's ``desc_act``.
    """

    method: str
    algorithm: str = ""
    bits: int | None = None
    group: int | None = None
    block: int | None = None
    symmetric: bool = True
    reordered: bool = False


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """One entry of ``rope_scaling`` or ``rope_parameters``: ``kind`` "" is plain RoPE."""

    kind: str
    factor: float | None = None
    original_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """``classes``: the ``architectures``; ``model_type``: that of the outermost table;
    ``lengths``: every key that states a length, in tokens and without RoPE scaling.
    """

    classes: tuple[str, ...] = ()
    model_type: str = ""
    quantization: StoredQuantization | None = None
    ropes: tuple[RopeScaling, ...] = ()
    lengths: tuple[tuple[str, int], ...] = ()
