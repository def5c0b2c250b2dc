"""The settings that the recipes of fine-tuning have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.memory.training import TrainingCase, TrainingMethod
from modelscan.recipes.kind import RecipeParameter

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

SETTINGS = (
    RecipeParameter("rank", 16, 1, 512),
    RecipeParameter("alpha", 32, 1, 2048),
    RecipeParameter("dropout", 0.0, 0, 0.9),
    RecipeParameter("sequence_tokens", 2048, 16, 131072),
    RecipeParameter("batch", 2, 1, 256),
    RecipeParameter("accumulation", 4, 1, 1024),
    RecipeParameter("epochs", 1, 1, 100),
    RecipeParameter("max_steps", -1, -1, 10**7),
    RecipeParameter("learning_rate", 2e-4, 1e-8, 1.0),
    RecipeParameter("warmup_steps", 5, 0, 10**5),
    RecipeParameter("logging_steps", 10, 1, 10**5),
    RecipeParameter("save_steps", 100, 1, 10**6),
    RecipeParameter("seed", 3407, 0, 2**31 - 1),
)


def training_case(
    case: RecipeCase,
    method: TrainingMethod,
    *,
    optimizer_bytes: int,
    logit_tokens: int | None = None,
) -> TrainingCase:
    """The sizes of the settings. ``optimizer_bytes`` and ``logit_tokens`` as in TrainingCase."""
    values = case.parameters
    return TrainingCase(
        method, int(values["rank"]), int(values["sequence_tokens"]), int(values["batch"]),
        optimizer_bytes, logit_tokens,
    )  # fmt: skip
