"""Recipes as tables and fields."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.recipes.types import RecipeList, RecipeModel, RenderedRecipe

_VERDICTS = {"fits": "fits", "does_not_fit": "does not fit", "unknown": "unknown"}


def list_document(answer: RecipeList) -> Document[Any]:
    """One row per method."""
    rows = [
        (f"{recipe.name} --method {method.name}", recipe.produces, method.dataset,
         method.description)
        for recipe in answer.recipes
        for method in recipe.methods
    ]  # fmt: skip
    table = Table(("RECIPE", "WRITES", "DATASET", "WHAT"), rows, folded=("WHAT",))
    names = [recipe.name for recipe in answer.recipes]
    return Document("recipe.list", answer, [table], names)


def recipe_document(answer: RenderedRecipe) -> Document[Any]:
    """What it reads, writes and needs, and the next command."""
    blocks: list[Block] = [Fields(_pairs(answer))]
    if answer.run is None:
        blocks.append(Note("\nnothing has been run or sent; next:"))
    else:
        blocks.append(Note("\nnothing was uploaded; next:"))
    lines = list(answer.next)
    if answer.run is not None and answer.publish:
        lines.append(answer.publish)
    blocks.append(Fields([("run", line) for line in lines]))
    return Document("recipe", answer, blocks, [answer.dir], _warnings(answer))


def _warnings(answer: RenderedRecipe) -> list[str]:
    if answer.fit.verdict != "does_not_fit":
        return list(answer.warnings)
    reasons = "; ".join(answer.fit.reasons)
    return [*answer.warnings, f"does not fit {answer.fit.where}: {reasons}"]


def _pairs(answer: RenderedRecipe) -> list[tuple[str, object]]:
    needs, fit = answer.needs, answer.fit
    return [
        ("name", answer.artifact_name),
        ("recipe", f"{answer.recipe} {answer.method}"),
        ("folder", answer.dir),
        *(("base", _model(one)) for one in (answer.base, *answer.others)),
        *((("dataset", f"{answer.dataset.path} ({answer.dataset.rows:,} rows)"),)
          if answer.dataset else ()),
        *((("adapter", answer.paths.adapter),) if answer.paths.adapter else ()),
        *((("checkpoints", answer.paths.checkpoint),) if answer.paths.checkpoint else ()),
        *((("result", answer.paths.output),) if answer.paths.output else ()),
        ("GPU memory", _gpu(answer)),
        ("memory", format_bytes(needs.host_bytes)),
        ("disk", format_bytes(needs.disk_bytes)),
        ("verdict", f"{_VERDICTS[fit.verdict]} on {fit.where}"),
        *(("because", reason) for reason in fit.reasons),
        *(("would fit", text) for text in fit.would_fit),
        ("Python", answer.python),
        ("packages", ", ".join(answer.requirements) or "none but modelscan"),
        *((("cost class", f"{answer.cost['class']}, price: hf jobs hardware"),)
          if answer.job else ()),
        *((("job", shlex.join(answer.command)),) if answer.job else ()),
        *(("leaves", text) for text in answer.leaves_machine),
        *_run(answer),
    ]  # fmt: skip


def _gpu(answer: RenderedRecipe) -> str:
    size = answer.needs.gpu_bytes
    if size == 0:
        return "none"
    return format_bytes(size) + (", or the processor" if answer.needs.optional_gpu else "")


def _model(model: RecipeModel) -> str:
    place = model.path or f"hf:{model.repository}"
    revision = f" at {model.revision}" if model.revision else ""
    return place + revision


def _run(answer: RenderedRecipe) -> list[tuple[str, object]]:
    run = answer.run
    if run is None:
        return []
    files = len(run.outputs)
    return [("ran", f"{run.finished_at}, {run.seconds:,.1f} s, {files} files"), ("log", run.log)]
