"""Whether a recipe fits the GPU of a job. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.recipes.fitting import RecipeRoom, fit
from modelscan.recipes.flavors import FLAVORS

if TYPE_CHECKING:
    from modelscan.recipes.flavors import JobFlavor
    from modelscan.recipes.kind import GpuNeed
    from modelscan.recipes.types import RecipeFit, RecipeNeeds


def fit_job(needs: RecipeNeeds, flavor: JobFlavor, need: GpuNeed) -> RecipeFit:
    """The verdict for one GPU of the flavor: the scripts use one. Memory and disk of a job are not
    known offline.
    """
    from dataclasses import replace

    verdict = fit(needs, _room(flavor), need)
    if verdict.verdict != "does_not_fit":
        return verdict
    larger = (
        one for one in FLAVORS if one.count == 1 and fit(needs, _room(one), need).verdict == "fits"
    )
    names = sorted(larger, key=lambda one: one.gpu_memory_bytes or 0)[:1]
    return replace(verdict, would_fit=tuple(f"--flavor {one.name}" for one in names))


def _room(flavor: JobFlavor) -> RecipeRoom:
    where = f"a job on {flavor.name}"
    return RecipeRoom(
        where, flavor.gpu, flavor.gpu_memory_bytes, None, None, f"{flavor.name} has no GPU"
    )
