"""``modelscan catalog``: the commands about models."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.catalog import passport, sync
from modelscan.cli.catalog.filters import SEARCH_LIMIT, Filters, Gpu, Limit, Use
from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.core.errors import UsageError

app = group("Search models and their facts.")

Model = Annotated[str, typer.Argument(metavar="MODEL", help="A catalog name or a provider's id.")]


@command(app, "search")
def search(
    context: Context,
    filters: Filters,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]", help="Words to find.")
    ] = None,
) -> Document[Any]:
    """Find models by name, family or ability."""
    from modelscan.cli.catalog.rows import page_document

    words = " ".join(text or ())
    return page_document("catalog.search", filters, context, words, SEARCH_LIMIT)


@command(app, "list")
def list_(context: Context, filters: Filters) -> Document[Any]:
    """List every model, the most used first."""
    from modelscan.cli.catalog.rows import page_document

    return page_document("catalog.list", filters, context)


@command(app, "info")
def info(
    context: Context,
    model: Annotated[list[str], typer.Argument(metavar="MODEL", help="One model, or several.")],
    gpu: Gpu = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Show several models side by side.")
    ] = False,
    offers: Annotated[
        bool, typer.Option("--offers", help="Only its providers, as catalog offers does.")
    ] = False,
) -> Document[Any]:
    """Show every fact about a model with its source."""
    from modelscan.cli.catalog.compare import compare_document
    from modelscan.cli.catalog.info import info_document

    if offers and (compare or len(model) > 1):
        raise UsageError("--offers is about one model", hint=f"modelscan catalog offers {model[0]}")
    if offers:
        from modelscan.cli.catalog.offers import offers_document

        return offers_document(context, model[0], gpu=gpu)
    if compare or len(model) > 1:
        return compare_document(context, model, gpu)
    return info_document(context, model[0], gpu)


@command(app, "sources")
def sources(context: Context) -> Document[Any]:
    """Show each source of the catalog: state, number of models, time of its data."""
    from modelscan.cli.catalog.info import sources_document

    return sources_document(context.workspace.sources())


@command(app, "runnable")
def runnable(
    context: Context,
    use: Use = None,
    gpu: Gpu = None,
    task: Annotated[
        str, typer.Option("--task", help="Models for this task: chat, embedding, rerank …")
    ] = "chat",
    limit: Limit = 20,
) -> Document[Any]:
    """List the open models that run on this machine, best first, each with its plan."""
    from modelscan.cli.catalog.runnable import runnable_document

    return runnable_document(context, gpu, task, use, limit)


@command(app, "offers")
def offers(
    context: Context,
    model: Model,
    gpu: Gpu = None,
    tokens_per_s: Annotated[
        float | None,
        typer.Option("--tokens-per-s", min=0.001, help="Its decode speed."),
    ] = None,
    watts: Annotated[
        float | None,
        typer.Option("--watts", min=0.0, help="Power drawn while serving."),
    ] = None,
    usd_per_kwh: Annotated[
        float | None, typer.Option("--usd-per-kwh", min=0.0, help="Price of electricity.")
    ] = None,
) -> Document[Any]:
    """List the providers of a model with prices and limits, and the cost on this machine."""
    from modelscan.cli.catalog.offers import offers_document

    return offers_document(
        context, model, gpu=gpu, tokens_per_s=tokens_per_s, watts=watts, usd_per_kwh=usd_per_kwh
    )


command(app, "sync")(sync.sync)
command(app, "passport")(passport.passport)
