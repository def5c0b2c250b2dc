"""``modelscan catalog sync``: refresh the catalog's sources, each failing alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import command
from modelscan.core.errors import EXIT_OK, EXIT_REMOTE

if TYPE_CHECKING:
    from modelscan.catalog.sync import Outcome, Report


def register(app: typer.Typer) -> None:
    """Add the command to ``modelscan catalog``."""
    command(app, "sync")(sync)


def sync(
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="Only this source (may be repeated)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask the sources and say what would change.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 5 when any source fails.")] = False,
) -> Document:
    """Refresh the catalog from its sources; what fails keeps its last good data."""
    from modelscan.catalog import sync as syncing
    from modelscan.catalog.index import publish

    config, output = current().config, current().output
    asked, lacking = syncing.choose(source or [], config)
    if not dry_run:
        publish.prepare(config.paths)
    stored = publish.stored_snapshots(config.paths)
    last = syncing.last_of(stored)
    with output.status("asking the sources") as progress:
        got = syncing.fetch_all(asked, config, last, progress.update)
        report = syncing.report(asked, lacking, got, last)
        built = None
        if not dry_run:
            progress.update("building the index")
            built = publish.publish(config.paths, report.snapshots)
    return _document(report, dry_run, built.models if built else None, strict)


def _document(report: Report, dry_run: bool, models: int | None, strict: bool) -> Document:
    body = {
        "dry_run": dry_run,
        "sources": report.sources,
        "models": models,
        "index_updated": models is not None,
    }
    failed = report.nothing_came or (strict and bool(report.failed))
    return Document(
        "catalog.sync",
        body,
        _blocks(report, dry_run, models),
        [o.source for o in report.sources if o.result == "updated"],
        report.warnings,
        exit_code=EXIT_REMOTE if failed else EXIT_OK,
        hint="modelscan catalog sources" if report.failed else None,
    )


def _blocks(report: Report, dry_run: bool, models: int | None) -> list[Block]:
    rows = [
        (o.source, o.result, o.models, _change(o), o.retrieved_at, o.error) for o in report.sources
    ]
    columns = ("SOURCE", "RESULT", "ENTRIES", "CHANGE", "RETRIEVED", "ERROR")
    blocks: list[Block] = [Table(columns, rows, numeric=("ENTRIES",))]
    if models is not None:
        blocks.append(Note(f"{models} models in the catalog"))
    elif dry_run:
        blocks.append(Note("nothing was changed (--dry-run)"))
    return blocks


def _change(outcome: Outcome) -> str | None:
    parts = [f"+{outcome.added}", f"-{outcome.removed}", f"~{outcome.changed}"]
    shown = [part for part in parts if part[1:] != "0"]
    return " ".join(shown) or None
