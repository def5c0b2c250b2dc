"""What other machines receive when a recipe runs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.recipes.kind import RecipeCase


def local_leaves(case: RecipeCase) -> tuple[str, ...]:
    """Of a run on this machine: at most the names of the repositories that are downloaded."""
    models = (case.base, *case.others)
    return tuple(
        f"to Hugging Face: the request for {one.repository}"
        for one in models
        if one.repository is not None
    )


def job_leaves(case: RecipeCase, gated: bool) -> tuple[str, ...]:
    """Of a job: the rendered files, the dataset and local models."""
    models = (case.base, *case.others)
    sent = ["the script and its manifest, which has paths of this machine"]
    if case.dataset is not None:
        size = format_bytes(case.dataset.size_bytes)
        sent.append(f"the dataset {case.dataset.path} ({case.dataset.rows:,} rows, {size})")
    sent += [
        f"the model {one.path} ({format_bytes(one.weight_bytes)})"
        for one in models
        if one.path is not None
    ]
    if gated:
        sent.append("the token HF_TOKEN, as a secret of the job")
    return tuple(f"to Hugging Face: {item}" for item in sent)
