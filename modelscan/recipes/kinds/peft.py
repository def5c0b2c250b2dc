"""Fine-tuning with PEFT and transformers, on any device of PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.recipes.kind import RecipeKind, RecipeMethod
from modelscan.recipes.kinds.training import SETTINGS, training_case
from modelscan.recipes.sizes import training_needs

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase
    from modelscan.recipes.types import RecipeNeeds


def size(case: RecipeCase) -> RecipeNeeds:
    """Of LoRA over weights in 16 bits, with AdamW in 32 bits; on a processor the same of memory."""
    needs = training_needs(case, training_case(case, "lora", optimizer_bytes=8))
    host = needs.gpu_bytes if needs.gpu_bytes is not None else needs.host_bytes
    return replace(needs, optional_gpu=True, host_bytes=host)


PEFT = RecipeKind(
    name="peft",
    description="Train a LoRA adapter on any GPU or the processor (PEFT, transformers)",
    produces="adapter",
    script="peft",
    methods=(RecipeMethod("lora", "an adapter over weights in 16 bits", "required"),),
    parameters=SETTINGS,
    formats=("safetensors",),
    size=size,
    gpu="optional",
)
