"""Merging models of one architecture with MergeKit: a specialized small model from several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.recipes.kind import RecipeKind, RecipeMethod, RecipeParameter
from modelscan.recipes.sizes import half_bytes, unknown_needs
from modelscan.recipes.types import RecipeNeeds

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.recipes.kind import RecipeCase

_SHARD_BYTES = 4 * 10**9  # --out-shard-size 2B: parameters of 2 bytes


def _method(
    name: str,
    description: str,
    merge_method: str | None = None,
    *,
    has_base: bool = True,
    reference: bool = True,
    uses: tuple[str, ...] = ("weight", "density"),
) -> RecipeMethod:
    """``reference``: the first model is what the others are compared with, and no part of the sum;
    ``uses``: the settings that the method reads.
    """
    unused = {key: None for key in ("weight", "density", "t") if key not in uses}
    fixed = {
        "merge_method": merge_method or name, "has_base": has_base,
        "base_is_reference": has_base and reference, **unused,
    }  # fmt: skip
    return RecipeMethod(name, description, fixed=fixed)


def check(case: RecipeCase) -> tuple[str, ...]:
    """Raises UsageError for a number of models that the method cannot merge, NotDeployableError
    for models of different shapes.
    """
    models = (case.base, *case.others)
    least, most = _COUNTS.get(case.parameters["merge_method"], (2, 16))
    if not least <= len(models) <= most:
        count = f"exactly {least}" if least == most else f"at least {least}"
        raise UsageError(
            f"the method {case.method.name} merges {count} models, here {len(models)}",
            hint=f"modelscan recipe render merge BASE MODEL --method {case.method.name}",
            code="model_count",
        )
    known = [(m.name, s.architecture) for m, s in zip(models, case.shapes, strict=True) if s]
    for name, architecture in known[1:]:
        if _sizes(architecture) != _sizes(known[0][1]):
            raise NotDeployableError(
                f"{known[0][0]} and {name} have different shapes ({_text(known[0][1])}; "
                f"{_text(architecture)}): their weights cannot be merged",
                hint="choose fine-tunes of one base model",
                code="different_shapes",
            )
    return ()


def _sizes(architecture: Architecture) -> tuple[object, ...]:
    # A fine-tune may have more tokens: MergeKit maps vocabularies.
    return architecture.name, architecture.hidden, architecture.layers


def _text(architecture: Architecture) -> str:
    return f"{architecture.name}, {len(architecture.layers)} layers of {architecture.hidden}"


def size(case: RecipeCase) -> RecipeNeeds:
    """Memory for a shard of the result and the largest tensor of each model; no GPU."""
    half = half_bytes(case)
    if half is None or case.shape is None:
        return unknown_needs(case)
    architecture = case.shape.architecture
    tensor = 4 * architecture.hidden * architecture.vocabulary  # in 32 bits
    host = min(half, _SHARD_BYTES) + tensor * (2 + len(case.others))
    return RecipeNeeds(
        0, case.download_bytes + half, host,
        assumptions=("tensors are read one at a time; no GPU is needed",),
    )  # fmt: skip


_COUNTS = {"slerp": (2, 2), "nuslerp": (2, 3), "arcee_fusion": (2, 2), "model_stock": (3, 16)}

MERGE = RecipeKind(
    name="merge",
    description="Merge models of one architecture into one (MergeKit)",
    produces="model",
    script="merge",
    methods=(
        _method("slerp", "between two models, on a sphere", reference=False, uses=("t",)),
        _method("linear", "the weighted mean of all", has_base=False, uses=("weight",)),
        _method("ties", "the base plus differences of equal sign"),
        _method("dare_ties", "TIES over randomly thinned differences"),
        _method("dare_linear", "the base plus randomly thinned differences"),
        _method("task_arithmetic", "the base plus all differences", uses=("weight",)),
        _method("breadcrumbs", "the base plus differences without extremes"),
        _method("della", "TIES over differences thinned by size"),
        _method("model_stock", "near the centre of fine-tunes of one base", uses=()),
        _method("arcee_fusion", "the base plus the important differences of one", uses=()),
        _method("karcher", "the Riemannian mean of all", has_base=False, uses=()),
    ),
    parameters=(
        RecipeParameter("t", 0.5, 0, 1),
        RecipeParameter("weight", 1.0, 0, 10),
        RecipeParameter("density", 0.5, 0.001, 1),
        RecipeParameter("dtype", "bfloat16", choices=("bfloat16", "float16", "float32")),
        RecipeParameter("cuda", "no", choices=("no", "yes")),
        RecipeParameter("seed", 7, 0, 2**31 - 1),
    ),
    formats=("safetensors",),
    size=size,
    gpu="none",
    least_models=2,
    most_models=16,
    aliases={"dare": "dare_ties"},
    check=check,
)
