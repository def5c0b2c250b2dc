"""``modelscan catalog``: which models there are. Thin: ``modelscan.catalog`` has the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from modelscan.cli.context import current
from modelscan.cli.document import Document, Note, Table
from modelscan.cli.framework import command, group
from modelscan.core.units import GIB, format_bytes, format_count, format_tokens, parse_tokens

if TYPE_CHECKING:
    from modelscan.catalog.search.query import Query, Row, SearchPage

app = group("Search models and their facts.")

SORTS = ("relevance", "release", "params", "context", "downloads")
_SOURCES = {"hf": "huggingface", "ms": "modelscope", "modelsdev": "models.dev"}
_COLUMNS = ("MODEL", "PARAMS", "CONTEXT", "MEMORY", "RELEASED", "CAN", "LICENSE")
_NUMERIC = ("PARAMS", "CONTEXT", "MEMORY")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model, as in `catalog search`.")]
Gpu = Annotated[
    str | None,
    typer.Option("--gpu", metavar="SPEC", help="Simulated hardware ('RTX 4090', '24GiB')."),
]


OpenWeights = Annotated[
    bool, typer.Option("--open-weights", help="Only models whose weights can be downloaded.")
]
ClosedWeights = Annotated[
    bool, typer.Option("--closed-weights", help="Only models that others host.")
]
Source = Annotated[
    str | None,
    typer.Option("--source", help="Only what this source knows (models.dev, gpustack, hf …)."),
]
Family = Annotated[str | None, typer.Option("--family", help="Only this family, e.g. qwen.")]
License = Annotated[
    str | None, typer.Option("--license", help="Only this licence, e.g. apache-2.0.")
]
Modality = Annotated[
    str | None, typer.Option("--modality", help="Only with all of these, e.g. text,image.")
]
Tools = Annotated[bool, typer.Option("--tools", help="Only models that call tools.")]
Reasoning = Annotated[bool, typer.Option("--reasoning", help="Only models that reason.")]
Vision = Annotated[bool, typer.Option("--vision", help="Only models that see images.")]
MinContext = Annotated[
    str | None, typer.Option("--min-context", help="At least this context, e.g. 128k.")
]
MaxVram = Annotated[
    float | None,
    typer.Option("--max-vram", min=0.0, metavar="GIB", help="Runs in at most so many GiB."),
]
MaxParams = Annotated[
    str | None, typer.Option("--max-params", help="At most so many parameters, e.g. 8B.")
]
Fits = Annotated[bool, typer.Option("--fits", help="Only models that fit this machine (or --gpu).")]
Sort = Annotated[str | None, typer.Option("--sort", click_type=click.Choice(SORTS))]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Rows (0 = all).")]
Offset = Annotated[int, typer.Option("--offset", min=0, help="Rows to leave out at the start.")]


@command(app, "search")
def search(
    text: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]", help="Words.")] = None,
    open_weights: OpenWeights = False,
    closed_weights: ClosedWeights = False,
    source: Source = None,
    family: Family = None,
    license_: License = None,
    modality: Modality = None,
    tools: Tools = False,
    reasoning: Reasoning = False,
    vision: Vision = False,
    min_context: MinContext = None,
    max_vram: MaxVram = None,
    max_params: MaxParams = None,
    fits: Fits = False,
    gpu: Gpu = None,
    sort: Sort = None,
    limit: Limit = 20,
    offset: Offset = 0,
) -> Document:
    """Find models by name, family or what they can do."""
    query = _query(
        " ".join(text or ()), open_weights=open_weights, closed_weights=closed_weights,
        source=source, family=family, license_=license_, modality=modality, tools=tools,
        reasoning=reasoning, vision=vision, min_context=min_context, max_vram=max_vram,
        max_params=max_params, fits=fits, gpu=gpu, sort=sort, limit=limit, offset=offset,
    )  # fmt: skip
    from modelscan.cli.catalog.hub import asks_hub, hub_search

    return hub_search(query) if asks_hub(query) else _listing("catalog.search", query)


@command(app, "list")
def list_(
    open_weights: OpenWeights = False,
    closed_weights: ClosedWeights = False,
    source: Source = None,
    family: Family = None,
    license_: License = None,
    modality: Modality = None,
    tools: Tools = False,
    reasoning: Reasoning = False,
    vision: Vision = False,
    min_context: MinContext = None,
    max_vram: MaxVram = None,
    max_params: MaxParams = None,
    fits: Fits = False,
    gpu: Gpu = None,
    sort: Sort = None,
    limit: Limit = 0,
    offset: Offset = 0,
) -> Document:
    """Every model, the most used first."""
    query = _query(
        "", open_weights=open_weights, closed_weights=closed_weights, source=source,
        family=family, license_=license_, modality=modality, tools=tools, reasoning=reasoning,
        vision=vision, min_context=min_context, max_vram=max_vram, max_params=max_params,
        fits=fits, gpu=gpu, sort=sort, limit=limit, offset=offset,
    )  # fmt: skip
    return _listing("catalog.list", query)


def _query(text: str, **given: Any) -> Query:
    """The options as a Query; raises UsageError for values that cannot be read."""
    from modelscan.catalog.search.query import Query

    if given["open_weights"] and given["closed_weights"]:
        raise click.UsageError("--open-weights and --closed-weights exclude each other")
    opened = True if given["open_weights"] else False if given["closed_weights"] else None
    bounds = [round(given["max_vram"] * GIB)] if given["max_vram"] is not None else []
    if given["fits"] or given["gpu"]:
        from modelscan.cli.catalog.fit import room

        bounds.append(room(given["gpu"]).usable_bytes)
        opened = True if opened is None else opened
    source, modality = given["source"], given["modality"] or ""
    return Query(
        text=text,
        open_weights=opened,
        source=_SOURCES.get(source.lower(), source.lower()) if source else None,
        family=given["family"],
        license=given["license_"],
        modalities=tuple(w.strip().lower() for w in modality.split(",") if w.strip()),
        tools=given["tools"],
        reasoning=given["reasoning"],
        vision=given["vision"],
        min_context_tokens=parse_tokens(given["min_context"]) if given["min_context"] else None,
        max_memory_bytes=min(bounds) if bounds else None,
        max_parameters=parse_count(given["max_params"]) if given["max_params"] else None,
        sort=given["sort"] or "relevance",
        limit=given["limit"] or None,
        offset=given["offset"],
    )


def parse_count(text: str) -> int:
    """``8B`` -> 8_000_000_000 (a bare number counts billions); raises UsageError."""
    scales = {"": 1e9, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
    number, unit = text.strip().lower(), ""
    if number and number[-1] in scales:
        number, unit = number[:-1], number[-1]
    try:
        value = float(number) * scales[unit]
    except ValueError:
        value = 0
    if not 0 < value < 1e16:
        raise click.UsageError(f"'{text}' is not a number of parameters: write it like 8B or 700M")
    return round(value)


def _listing(schema: str, query: Query) -> Document:
    from modelscan.catalog.index.current import open_index
    from modelscan.catalog.search.query import search as find

    index = open_index(current().config.paths)
    try:
        sources = index.sources()
        _check_source(sources, query.source)
        found = find(index, query)
    finally:
        index.close()
    mistakes = [f"left out: {s.error}" for s in sources if s.name == "user" and s.error]
    return found_document(schema, query, found, mistakes)


def _check_source(sources: list[Any], wanted: str | None) -> None:
    names = sorted({s.name for s in sources} | {"huggingface", "modelscope", "user"})
    if wanted is not None and wanted not in names:
        from modelscan.core.errors import UsageError

        raise UsageError(
            f"there is no source '{wanted}'",
            hint=f"modelscan catalog search --source {names[0]}",
            details={"sources": names},
        )


def found_document(
    schema: str, query: Query, found: SearchPage, warnings: Sequence[str] = ()
) -> Document:
    """A page of models as ``catalog.search`` and ``catalog.list`` show it."""
    body = {
        "query": query.text,
        "corrected": found.corrected,
        "total": found.total,
        "offset": query.offset,
        "models": [row_json(row) for row in found.rows],
    }
    blocks: list[Table | Note] = []
    if found.corrected is not None:
        blocks.append(Note(f"nothing matches '{query.text}'; showing '{found.corrected}'"))
    empty = f"no model matches '{query.text}'" if query.text else "no model matches"
    if query.source in ("huggingface", "modelscope"):
        empty += f" (modelscan catalog sync --source {query.source} asks that hub)"
    cells = [row_cells(row) for row in found.rows]
    blocks.append(Table(_COLUMNS, cells, numeric=_NUMERIC, empty=empty))
    shown = query.offset + len(found.rows)
    if found.rows and shown < found.total:
        more = f"{found.total - shown} more: --offset {shown}"
        blocks.append(Note(f"\n{len(found.rows)} of {found.total}; {more}"))
    hint = f"modelscan catalog info {found.rows[0].id}" if found.rows else None
    ids = [row.id for row in found.rows]
    return Document(schema, body, blocks, ids, warnings, hint=hint)


def row_json(row: Row) -> dict[str, Any]:
    """A model in a list, as JSON."""
    body = {name: list(v) if isinstance(v, tuple) else v for name, v in row._asdict().items()}
    del body["row"]
    return body


def row_cells(row: Row) -> tuple[object, ...]:
    """A model in a list, for a person."""
    flags = (("tools", row.tools), ("reasoning", row.reasoning), ("vision", row.vision))
    can = [name for name, has in flags if has]
    if row.task not in (None, "chat"):
        can.insert(0, str(row.task))
    licence = row.license if row.open_weights else "closed" if row.open_weights is False else None
    return (
        row.id,
        format_count(row.parameters) if row.parameters else None,
        format_tokens(row.context_tokens) if row.context_tokens else None,
        format_bytes(row.memory_bytes) if row.memory_bytes else None,
        row.release_date,
        can,
        licence,
    )


@command(app, "info")
def info(
    model: Annotated[list[str], typer.Argument(metavar="MODEL", help="A model (or several).")],
    gpu: Gpu = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Several models side by side.")
    ] = False,
) -> Document:
    """Everything known about a model, with the source of each fact."""
    from modelscan.cli.catalog import info as catalog_info

    if compare or len(model) > 1:
        return catalog_info.compare(model, gpu)
    return catalog_info.info(model[0], gpu)


@command(app, "sources")
def sources() -> Document:
    """Where the facts come from, and how fresh they are."""
    from modelscan.cli.catalog.info import sources as answer

    return answer()


@command(app, "runnable")
def runnable(
    gpu: Gpu = None,
    task: Annotated[str, typer.Option("--task", help="chat, embedding, rerank …")] = "chat",
    limit: Limit = 20,
) -> Document:
    """The open models that run on this machine, best first, and how."""
    from modelscan.cli.catalog.fit import runnable as answer

    return answer(gpu, task, limit)


@command(app, "offers")
def offers(
    model: Model,
    gpu: Gpu = None,
    tokens_per_s: Annotated[
        float | None, typer.Option("--tokens-per-s", min=0.001, help="Speed of this machine.")
    ] = None,
    watts: Annotated[
        float | None, typer.Option("--watts", min=0.0, help="Power it draws while serving.")
    ] = None,
    usd_per_kwh: Annotated[
        float | None, typer.Option("--usd-per-kwh", min=0.0, help="Price of power.")
    ] = None,
) -> Document:
    """Who hosts a model, for how much, and what this machine would cost."""
    from modelscan.cli.catalog.fit import offers as answer

    return answer(model, gpu, tokens_per_s, watts, usd_per_kwh)


def _register_others() -> None:
    """``sync`` and ``passport`` are in files of their own."""
    from modelscan.cli.catalog import passport as catalog_passport
    from modelscan.cli.catalog import sync as catalog_sync

    catalog_sync.register(app)
    catalog_passport.register(app)


_register_others()
