"""``modelscan catalog sync``: refresh the catalog from its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.core.errors import EXIT_OK, EXIT_REMOTE

if TYPE_CHECKING:
    from modelscan.catalog.refresh import SyncAnswer
    from modelscan.catalog.sync import SourceOutcome


def sync(
    context: Context,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", "-s", help="Only this source (repeatable)."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Fetch the sources and print the changes; store nothing."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 5 when any source fails.")] = False,
) -> Document[Any]:
    """Refresh the catalog from its sources; a failed source keeps its previous data."""
    with context.output.status("fetching the sources") as progress:
        answer = context.workspace.sync(source or (), dry_run=dry_run, progress=progress.update)
    failed = answer.nothing_came or (strict and answer.failed)
    return Document(
        "catalog.sync",
        answer,
        _blocks(answer),
        [o.source for o in answer.sources if o.result == "updated"],
        answer.warnings,
        exit_code=EXIT_REMOTE if failed else EXIT_OK,
        hint="modelscan catalog sources" if answer.failed else None,
    )


def _blocks(answer: SyncAnswer) -> list[Block]:
    rows = [
        (o.source, o.result, o.models, _change(o), o.retrieved_at, o.error) for o in answer.sources
    ]
    columns = ("SOURCE", "RESULT", "ENTRIES", "CHANGE", "RETRIEVED", "ERROR")
    blocks: list[Block] = [
        Table(columns, rows, numeric=("ENTRIES",), optional=("RETRIEVED",), folded=("ERROR",))
    ]
    if answer.models is not None:
        blocks.append(Note(f"{answer.models:,} models in the catalog"))
    elif answer.dry_run:
        blocks.append(Note("nothing was changed (--dry-run)"))
    return blocks


def _change(outcome: SourceOutcome) -> str | None:
    parts = [f"+{outcome.added}", f"-{outcome.removed}", f"~{outcome.changed}"]
    shown = [part for part in parts if part[1:] != "0"]
    return " ".join(shown) or None
