"""``catalog runnable``: the open models that run on this machine, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.cli.catalog.order import order_notes, score_cell
from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.core.units import format_bytes, format_count, format_speed

if TYPE_CHECKING:
    from modelscan.models.runnable import RunnableModel, RunnableModels

_COLUMNS = ("MODEL", "PARAMS", "WEIGHTS", "BACKEND", "TOTAL", "TOKENS/S", "RELEASED", "LICENSE")


def runnable_document(
    context: Context, gpu: str | None, task: str, use: str | None, limit: int
) -> Document[RunnableModels]:
    """At most ``limit`` models (0: all), best first; ``use`` replaces the task."""
    with context.output.status("planning") as status:
        answer = context.workspace.runnable(
            task, use=use, gpu=gpu, limit=limit or None,
            progress=lambda id: status.update(f"planning {id}"),
        )  # fmt: skip
    memory = f"{format_bytes(answer.available_bytes)} on {answer.where}"
    cells = [_cells(model) for model in answer.models]
    columns = list(_COLUMNS)
    if any(model.score for model in answer.models):
        columns.append("SCORE")
        cells = [(*row, score_cell(m.score)) for row, m in zip(cells, answer.models, strict=True)]
    table = Table(
        columns,
        cells,
        numeric=("PARAMS", "TOTAL", "TOKENS/S"),
        optional=("TOKENS/S", "BACKEND", "PARAMS", "RELEASED", "LICENSE"),
        empty=f"no open model for {'the use' if use else 'the task'} '{use or task}' fits {memory}",
    )
    note = Note(f"\n{answer.total:,} open models have weights that fit {memory}")
    blocks: list[Block] = [table, note, *order_notes(answer.order, answer.left_out)]
    ids = [model.id for model in answer.models]
    hint = f"modelscan plan {ids[0]}" if ids else None
    return Document("catalog.runnable", answer, blocks, ids, hint=hint)


def _cells(model: RunnableModel) -> tuple[object, ...]:
    fit = model.fit
    return (
        model.id,
        format_count(model.parameters) if model.parameters else None,
        fit.quantization,
        fit.backend,
        format_bytes(fit.needed_bytes),
        format_speed(fit.tokens_per_s),
        model.release_date,
        model.license,
    )
