"""``registry eval ingest`` and ``registry evals``: results per version, across models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.cli.registry.access import open_registry

ingestion = group("Results of benchmarks and suites for versions of models.")


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.add_typer(ingestion, name="eval")
    command(app, "evals")(evals)


@command(ingestion, "ingest")
def ingest(
    context: Context,
    files: Annotated[
        list[Path],
        typer.Argument(help="Reports of bench run or eval run, as they are.", metavar="FILE..."),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", metavar="SLUG@V", help="What was measured (default: by its checksum)."
        ),
    ] = None,
) -> Document[Any]:
    """Store reports for the versions that they measured; a repetition is harmless."""
    import time

    from modelscan.cli.registry.curation_view import results_document
    from modelscan.registry.results import ModelResults

    with open_registry(context) as database:
        from modelscan.evals.measured import read_results_file
        from modelscan.registry.desk import CurationDesk
        from modelscan.state.server.audit import local_user

        given = [read_results_file(file, time.time()) for file in files]
        desk = CurationDesk(database, context.config)
        stored = tuple(desk.ingest(local_user(), one, model) for one in given)
    results = tuple(row for one in stored for row in one.results)
    return results_document(ModelResults(results, ingested=stored))


def evals(
    context: Context,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="S", help="Only results of this suite.")
    ] = None,
    workload: Annotated[
        str | None, typer.Option("--workload", metavar="W", help="Only results of this workload.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="SLUG[@V]", help="Only of this model.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="METRIC", help="The best first.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="A column; repeatable.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Older results, too.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, metavar="N", help="At most N rows.")
    ] = 50,
    cursor: Annotated[
        str | None, typer.Option("--cursor", metavar="CURSOR", help="The page after another one.")
    ] = None,
) -> Document[Any]:
    """Compare results across models."""
    from modelscan.cli.registry.curation_view import results_document
    from modelscan.core.errors import UsageError
    from modelscan.registry.names import version_reference

    if suite is not None and workload is not None:
        raise UsageError("either --suite or --workload", hint=f"registry evals --suite {suite}")
    slug, number = (None, None) if model is None else version_reference(model)
    with open_registry(context) as database:
        from modelscan.registry.desk import CurationDesk
        from modelscan.registry.result_store import ResultQuery, offset_of

        query = ResultQuery(
            kind="suite" if suite else "workload" if workload else None,
            name=suite or workload,
            slug=slug,
            version=None if number is None else str(number),
            sort=sort,
            newest=not all_,
            limit=limit,
            offset=offset_of(cursor),
        )
        found = CurationDesk(database, context.config).results(query)
    return results_document(found, tuple(metric or ()))
