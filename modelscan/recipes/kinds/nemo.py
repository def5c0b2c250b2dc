"""Fine-tuning with NVIDIA NeMo AutoModel. NIM, which serves models, is no recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.recipes.kind import RecipeKind, RecipeMethod
from modelscan.recipes.kinds.training import SETTINGS, training_case
from modelscan.recipes.sizes import training_needs

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase
    from modelscan.recipes.types import RecipeNeeds

_NIM_PLACES = ("nvcr.io/nim/", "nim/", "nim:", "integrate.api.nvidia.com")


def refuse_nim(recipe: str, model: str, method: str | None = None) -> None:
    """Raise UsageError where a NIM is requested as a recipe or as what a recipe starts from."""
    name = model.strip().lower().removeprefix("https://")
    words = (recipe.strip().lower(), (method or "").strip().lower())
    if "nim" not in words and not name.startswith(_NIM_PLACES):
        return
    raise UsageError(
        "NIM serves models and trains none: it is a provider of the routing file, not a recipe. "
        "NVIDIA's training is NeMo, which starts from weights in a folder or repository",
        hint="modelscan recipe render nemo ORG/REPO --dataset chats.jsonl",
        code="nim_is_a_provider",
    )


def size(case: RecipeCase) -> RecipeNeeds:
    """Of LoRA, or of training every weight, with AdamW in 32 bits."""
    method = "lora" if case.parameters["adapter"] else "full"
    return training_needs(
        case, training_case(case, "lora" if method == "lora" else "full", optimizer_bytes=8)
    )


def check(case: RecipeCase) -> tuple[str, ...]:
    """Raises UsageError for paths that NeMo's configuration would change."""
    texts = (case.base.path, case.base.repository, case.dataset and case.dataset.path)
    for text in texts:
        if text and "$" in text:
            raise UsageError(
                f"NeMo's configuration replaces $NAME in texts, so that '{text}' would be another "
                "path",
                hint="move it to a path without $",
                code="unsafe_path",
            )
    return ()


NEMO = RecipeKind(
    name="nemo",
    description="Fine-tune with NVIDIA NeMo AutoModel (training; NIM is a provider)",
    produces="adapter",
    script="nemo",
    methods=(
        RecipeMethod("lora", "an adapter over weights in 16 bits", "required", {"adapter": True}),
        RecipeMethod("full", "every weight is trained", "required", {"adapter": False}),
    ),
    parameters=SETTINGS,
    formats=("safetensors",),
    size=size,
    gpu="nvidia",
    aliases={"peft": "lora", "sft": "full"},
    check=check,
)
