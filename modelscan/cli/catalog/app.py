"""``modelscan catalog``: which models there are."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.catalog import passport, sync
from modelscan.cli.catalog.filters import SEARCH_LIMIT, Filters, Gpu, Limit
from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group

app = group("Search models and their facts.")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model, as in `catalog search`.")]


@command(app, "search")
def search(
    context: Context,
    filters: Filters,
    text: Annotated[list[str] | None, typer.Argument(metavar="[TEXT]", help="Words.")] = None,
) -> Document[Any]:
    """Find models by name, family or what they can do."""
    from modelscan.cli.catalog.rows import page_document

    words = " ".join(text or ())
    return page_document("catalog.search", filters, context, words, SEARCH_LIMIT)


@command(app, "list")
def list_(context: Context, filters: Filters) -> Document[Any]:
    """Every model, the most used first."""
    from modelscan.cli.catalog.rows import page_document

    return page_document("catalog.list", filters, context)


@command(app, "info")
def info(
    context: Context,
    model: Annotated[list[str], typer.Argument(metavar="MODEL", help="A model (or several).")],
    gpu: Gpu = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Several models side by side.")
    ] = False,
) -> Document[Any]:
    """Everything known about a model, with the source of each fact."""
    from modelscan.cli.catalog.compare import compare_document
    from modelscan.cli.catalog.info import info_document

    if compare or len(model) > 1:
        return compare_document(context, model, gpu)
    return info_document(context, model[0], gpu)


@command(app, "sources")
def sources(context: Context) -> Document[Any]:
    """Where the facts come from, and how fresh they are."""
    from modelscan.cli.catalog.info import sources_document

    return sources_document(context.workspace.sources())


@command(app, "runnable")
def runnable(
    gpu: Gpu = None,
    task: Annotated[str, typer.Option("--task", help="chat, embedding, rerank …")] = "chat",
    limit: Limit = 20,
) -> Document[Any]:
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
) -> Document[Any]:
    """Who hosts a model, for how much, and what this machine would cost."""
    from modelscan.cli.catalog.fit import offers as answer

    return answer(model, gpu, tokens_per_s, watts, usd_per_kwh)


command(app, "sync")(sync.sync)
command(app, "passport")(passport.passport)
