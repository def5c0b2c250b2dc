"""Fine-tuning with Unsloth on one NVIDIA GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.recipes.kind import RecipeKind, RecipeMethod
from modelscan.recipes.kinds.training import PROJECTIONS, SETTINGS, training_case
from modelscan.recipes.sizes import training_needs

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase
    from modelscan.recipes.types import RecipeNeeds

_LOGIT_TOKENS = 1024  # Unsloth's cross entropy computes logits in chunks of the sequence


def size(case: RecipeCase) -> RecipeNeeds:
    """Of LoRA with AdamW in 8 bits; QLoRA's weights have 4 bits."""
    method = "qlora" if case.parameters["load_in_4bit"] else "lora"
    training = training_case(
        case, "qlora" if method == "qlora" else "lora", optimizer_bytes=2,
        logit_tokens=_LOGIT_TOKENS,
    )  # fmt: skip
    return training_needs(case, training)


def _method(name: str, description: str, *, four_bits: bool) -> RecipeMethod:
    fixed = {"load_in_4bit": four_bits, "target_modules": list(PROJECTIONS)}
    return RecipeMethod(name, description, "required", fixed)


UNSLOTH = RecipeKind(
    name="unsloth",
    description="Train a LoRA or QLoRA adapter on one NVIDIA GPU (Unsloth, TRL)",
    produces="adapter",
    script="unsloth",
    methods=(
        _method("qlora", "an adapter over weights that are loaded in 4 bits", four_bits=True),
        _method("lora", "an adapter over weights in 16 bits", four_bits=False),
    ),
    parameters=SETTINGS,
    formats=("safetensors",),
    size=size,
    gpu="nvidia",
)
