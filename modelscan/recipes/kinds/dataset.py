"""Conversations as training data: checked, without duplicates, split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.recipes.kind import RecipeKind, RecipeMethod, RecipeParameter
from modelscan.recipes.types import RecipeNeeds

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase


def size(case: RecipeCase) -> RecipeNeeds:
    """The rows twice on disk, and their shingles in memory."""
    size_bytes = case.dataset.size_bytes if case.dataset else 0
    return RecipeNeeds(0, size_bytes, 12 * size_bytes)


DATASET = RecipeKind(
    name="dataset",
    description="Check conversations, drop duplicates and split them for training",
    produces="dataset",
    script="dataset",
    methods=(RecipeMethod("chat", "JSON Lines with messages", "required"),),
    parameters=(
        RecipeParameter("train_percent", 90, 1, 100),
        RecipeParameter("seed", 7, 0, 2**31 - 1),
    ),
    formats=("safetensors", "gguf"),
    size=size,
    gpu="none",
    quantized_base=True,
    jobs=False,
)
