"""What recipes need of a GPU, of memory and of disk, in bytes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.memory.training import (
    TrainingCase,
    adapter_values,
    calibration_parts,
    training_parts,
)
from modelscan.recipes.types import RecipeNeeds

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase

_UNKNOWN_SHAPE = "the shape of {} is not known here: its needs are unknown"
_KEPT_CHECKPOINTS = 2


def unknown_needs(case: RecipeCase) -> RecipeNeeds:
    """Of a model whose shape is not known."""
    return RecipeNeeds(None, None, None, assumptions=(_UNKNOWN_SHAPE.format(case.base.name),))


def half_bytes(case: RecipeCase) -> int | None:
    """The base's weights in 16 bits, in bytes; None where its parameters are not known."""
    parameters = case.base.parameters
    return None if parameters is None else parameters * 2


def training_needs(case: RecipeCase, training: TrainingCase) -> RecipeNeeds:
    """Of fine-tuning on one GPU."""
    shape = case.shape
    if shape is None or not shape.weights.parameters:
        return unknown_needs(case)
    parts = training_parts(shape, training)
    if training.method == "full":
        saved = shape.weights.parameters * (2 + training.optimizer_bytes)
        result = shape.weights.parameters * 2
    else:
        values = adapter_values(shape.architecture, training.rank)
        saved, result = values * (4 + training.optimizer_bytes), values * 4
    disk = case.download_bytes + _KEPT_CHECKPOINTS * saved + result
    return RecipeNeeds(
        sum(parts.values()), disk, shape.weights.total_bytes, parts,
        assumptions=(
            f"{training.batch} sequences of {training.sequence_tokens:,} tokens at once",
            "gradient checkpointing: the input of each layer is kept, one layer is computed again",
            "one GPU; adapters on every projection of attention and feed-forward"
            if training.method != "full" else "one GPU; every weight is trained",
        ),
    )  # fmt: skip


def calibration_needs(case: RecipeCase, *, hessians: bool, result_share: float) -> RecipeNeeds:
    """Of quantization with calibration data: one layer at a time on the GPU, the rest in memory.

    ``result_share``: bytes of the result per byte of the weights in 16 bits.
    """
    shape, half = case.shape, half_bytes(case)
    if shape is None or half is None:
        return unknown_needs(case)
    tokens = int(case.parameters["sequence_tokens"])
    samples = int(case.parameters["samples"])
    parts = calibration_parts(shape, tokens, hessians=hessians)
    states = 2 * samples * tokens * shape.architecture.hidden * 2  # a layer's inputs and outputs
    return RecipeNeeds(
        sum(parts.values()), case.download_bytes + round(half * result_share), half + states, parts,
        optional_gpu=True,
        assumptions=(
            f"{samples:,} samples of up to {tokens:,} tokens; their hidden states are in memory",
            "one layer at a time is on the GPU; without a GPU it runs on the processor, slowly",
        ),
    )  # fmt: skip


def rounding_needs(case: RecipeCase, *, result_share: float) -> RecipeNeeds:
    """Of quantization without data: the model in memory, no GPU."""
    half = half_bytes(case)
    if half is None:
        return unknown_needs(case)
    return RecipeNeeds(
        0, case.download_bytes + round(half * result_share), round(half * (1 + result_share)),
        assumptions=("the model and its result are in memory; no GPU is needed",),
    )  # fmt: skip
