"""``modelscan route history|undo``: earlier revisions of the routing file."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Note, Table
from modelscan.cli.framework import command


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "history")(history)
    command(app, "undo")(undo)


def history(context: Context) -> Document[Any]:
    """List the kept revisions, the newest first: what each change replaced."""
    from modelscan.routing.answers import list_revisions

    answer = list_revisions(context.config.routing_file)
    rows = [(r.number, r.replaced_at, r.change, r.size_bytes) for r in answer.revisions]
    table = Table(
        ("REVISION", "REPLACED_AT", "CHANGE", "BYTES"), rows, numeric=("REVISION", "BYTES"),
        empty="no change has been made by modelscan yet",
    )  # fmt: skip
    return Document("route.history", answer, [table], [str(row[0]) for row in rows])


def undo(
    context: Context,
    to: Annotated[
        int | None, typer.Option("--to", help="A revision of route history (default: the last).")
    ] = None,
) -> Document[Any]:
    """Restore the routing file as it was before the last change, or before an earlier one."""
    from modelscan.routing.answers import undo_change

    answer = undo_change(context.config.routing_file, to)
    note = Note(f"restored revision {answer.revision.number}, before: {answer.revision.change}")
    return Document(
        "route.undo", answer, [note], [str(answer.revision.number)], answer.warnings,
        hint="modelscan route validate",
    )  # fmt: skip
