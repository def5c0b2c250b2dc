"""Every recipe: one line each."""

from __future__ import annotations

from modelscan.core.errors import UsageError
from modelscan.core.nearest import likeness
from modelscan.recipes.kind import RecipeKind
from modelscan.recipes.kinds.dataset import DATASET
from modelscan.recipes.kinds.gguf import GGUF
from modelscan.recipes.kinds.merge import MERGE
from modelscan.recipes.kinds.nemo import NEMO, refuse_nim
from modelscan.recipes.kinds.peft import PEFT
from modelscan.recipes.kinds.quantize import QUANTIZE
from modelscan.recipes.kinds.unsloth import UNSLOTH

RECIPES = (QUANTIZE, GGUF, UNSLOTH, PEFT, NEMO, MERGE, DATASET)


def find_recipe(name: str, model: str = "", method: str | None = None) -> RecipeKind:
    """The recipe of that name. Raises UsageError for an unknown one, and for a NIM."""
    refuse_nim(name, model, method)
    wish = name.strip().lower()
    for kind in RECIPES:
        if kind.name == wish:
            return kind
    nearest = max(RECIPES, key=lambda kind: likeness(wish, kind.name)).name
    names = ", ".join(kind.name for kind in RECIPES)
    raise UsageError(
        f"there is no recipe '{name}' (there are {names})",
        hint=f"modelscan recipe render {nearest} MODEL",
        code="unknown_recipe",
    )
