"""A page of models as a table."""

from __future__ import annotations

from modelscan.catalog.answers import CatalogEntry
from modelscan.catalog.browse import active_filters
from modelscan.catalog.search.types import Query
from modelscan.cli.catalog.filters import Filters
from modelscan.cli.catalog.order import order_notes, score_cell
from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.output import Mode
from modelscan.core.units import format_bytes, format_count
from modelscan.models.pages import ModelPage

_COLUMNS = ("MODEL", "PARAMS", "CONTEXT", "MIN MEMORY", "RELEASED", "CAN", "LICENSE")
_NUMERIC = ("PARAMS", "CONTEXT", "MIN MEMORY")
_EMPTY_TRUSTED = (
    "no model: tag an entry of the routing file (modelscan route edit NAME --set tags=[trusted])"
)
_OPTIONAL = ("CONTEXT", "LICENSE", "RELEASED", "CAN")


def page_document(
    schema: str, filters: Filters, context: Context, text: str = "", limit: int = 0
) -> Document[ModelPage]:
    """The document of ``catalog search`` and ``catalog list``.

    ``limit``: number of rows (0: all) where ``--limit`` is not given.
    """
    query = filters.query(text, limit)
    with context.output.status("planning" if filters.only_fitting else "searching") as status:
        page = context.workspace.search(
            query, fits=filters.only_fitting, trusted=filters.trusted, gpu=filters.gpu,
            progress=status.update,
        )  # fmt: skip
    blocks: list[Block] = []
    if page.corrected is not None:
        blocks.append(Note(f"nothing matches '{query.text}'; showing '{page.corrected}'"))
    cells = [_cells(model) for model in page.models]
    columns = list(_COLUMNS)
    if any(model.score for model in page.models):
        columns.append("SCORE")
        cells = [(*row, score_cell(m.score)) for row, m in zip(cells, page.models, strict=True)]
    if filters.trusted:
        columns.append("TRUSTED ROUTE")
        cells = [(*row, ", ".join(m.routes)) for row, m in zip(cells, page.models, strict=True)]
    empty = _EMPTY_TRUSTED if filters.trusted and not query.text else _empty(query, page)
    blocks.append(Table(columns, cells, numeric=_NUMERIC, optional=_OPTIONAL, empty=empty))
    shown = query.offset + len(page.models)
    if page.models and shown < page.total:
        blocks.append(Note(f"\n{_further(page, shown)}"))
    if page.models and (query.use or filters.only_fitting or context.output.mode is Mode.HUMAN):
        blocks += order_notes(page.order, page.left_out)
    hint = f"modelscan catalog info {page.models[0].id}" if page.models else None
    ids = [model.id for model in page.models]
    return Document(schema, page, blocks, ids, page.warnings, hint=hint)


def _further(page: ModelPage, shown: int) -> str:
    """How many more there are: exactly, or at most where not all were planned."""
    if page.planned is None:
        return f"{page.counted()}; {page.total - shown:,} more: --offset {shown}"
    looked = f"{page.planned:,} models looked at"
    return f"{page.counted()}: {looked}; more: --offset {shown}; all: --limit 0"


def _empty(query: Query, page: ModelPage) -> str:
    if page.without_filters:
        filters = " ".join(f"{k} {v}".strip() for k, v in active_filters(query).items())
        count = f"{page.without_filters:,} model{'s' * (page.without_filters != 1)}"
        return f"{count} for '{query.text}', none with {filters}"
    text = f"no model matches '{query.text}'" if query.text else "no model matches"
    if query.source in ("huggingface", "modelscope"):
        text += f" (modelscan catalog sync --source {query.source} searches that hub)"
    return text


def _cells(model: CatalogEntry) -> tuple[object, ...]:
    flags = (("tools", model.tools), ("reasoning", model.reasoning), ("vision", model.vision))
    abilities = [name for name, has in flags if has]
    if model.task not in (None, "chat"):
        abilities.insert(0, str(model.task))
    closed = "closed" if model.open_weights is False else None
    return (
        model.id,
        format_count(model.parameters) if model.parameters else None,
        model.context_tokens,
        format_bytes(model.memory_bytes) if model.memory_bytes else None,
        model.release_date,
        abilities,
        model.license if model.open_weights else closed,
    )
