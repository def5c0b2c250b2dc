"""``modelscan route export|import``: the routing file for and from other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Note, Text
from modelscan.cli.framework import command
from modelscan.cli.route.edited import DryRun, edited


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "export")(export)
    command(app, "import")(import_)


def export(
    context: Context,
    format_: Annotated[
        Literal["plano", "bundle"],
        typer.Argument(help="plano: Plano's file; bundle: to restore elsewhere.", metavar="FORMAT"),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a file.")] = None,
) -> Document[Any]:
    """Print the routing file in another format. Keys are references in every format."""
    from modelscan.state.files import write_atomic

    answer = context.workspace.export_routes(format_)
    if output is None:
        return Document(
            "route.export", answer, [Text(answer.text.rstrip("\n"))], [], answer.warnings
        )
    write_atomic(output, answer.text)
    note = Note(f"wrote {output}")
    return Document("route.export", answer, [note], [str(output)], answer.warnings)


def import_(
    context: Context,
    file: Annotated[Path, typer.Argument(help="GenieHive's roles, or a bundle.", metavar="FILE")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace roles and aliases of the same name.")
    ] = False,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Add the roles, aliases and entries of a file to the routing file."""
    from modelscan.routing.imports import import_file

    answer = import_file(context.config.routing_file, file, replace=replace, dry_run=dry_run)
    return edited("import", answer, [str(file)])
