"""``modelscan route export|import``: the routing file for and from other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Note, Text
from modelscan.cli.framework import command
from modelscan.cli.route.edited import DryRun, edited

if TYPE_CHECKING:
    from modelscan.routing.answers import RoutesExported


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "export")(export)
    command(app, "import")(import_)


def export(
    context: Context,
    format_: Annotated[
        str | None,
        typer.Argument(
            help="plano, bundle (to restore elsewhere), or a client of `modelscan connect`.",
            metavar="FORMAT",
        ),
    ] = None,
    named: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT", help="The same, as an option.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="env:NAME", help="The variable with a client's key."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write a file.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="Write what deploys the same elsewhere: weights by checksum, options, policies.",
        ),
    ] = None,
    route: Annotated[
        list[str] | None,
        typer.Option("--route", metavar="NAME", help="With --bundle: only this one (repeatable)."),
    ] = None,
) -> Document[Any]:
    """Print the routing file in another format. Keys are references in every format."""
    from modelscan.state.files import write_atomic

    if bundle is not None:
        from modelscan.cli.route.bundles import export_document

        return export_document(context, bundle, route or ())

    answer = _exported(context, format_ or named, key)
    if output is None:
        return Document(
            "route.export", answer, [Text(answer.text.rstrip("\n"))], [], answer.warnings
        )
    write_atomic(output, answer.text)
    note = Note(f"wrote {output}")
    return Document("route.export", answer, [note], [str(output)], answer.warnings)


def _exported(context: Context, name: str | None, key: str | None) -> RoutesExported:
    from modelscan.core.errors import UsageError
    from modelscan.routing.answers import RoutesExported

    if name is None:
        raise UsageError("no format is named", hint="modelscan route export bundle")
    if name == "plano":
        return context.workspace.export_routes("plano")
    if name == "bundle":
        return context.workspace.export_routes("bundle")
    from modelscan.cli.connect import reported_facts
    from modelscan.routing.clients.connect import exported

    config = context.config
    base_url = f"http://127.0.0.1:{config.serve_port}"
    text, warnings = exported(name, config.routing_file, base_url, key, reported_facts)
    return RoutesExported(name, text, warnings)


def import_(
    context: Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A bundle, or a file of GenieHive, LiteLLM, llama-swap or CodeWhale.",
            metavar="FILE",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace items of the same name.")
    ] = False,
    dry_run: DryRun = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="FILE",
            help="A file of route export --bundle: deploy what it says, too.",
        ),
    ] = None,
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--files", metavar="FOLDER", help="Where a bundle's files are here (repeatable)."
        ),
    ] = None,
) -> Document[Any]:
    """Add the roles, aliases and entries of a file to the routing file."""
    from modelscan.core.errors import UsageError
    from modelscan.routing.imports import import_file

    if bundle is not None:
        from modelscan.cli.route.bundles import import_document

        return import_document(context, bundle, files or (), replace=replace, dry_run=dry_run)
    if file is None:
        raise UsageError("no file is named", hint="modelscan route import roles.yaml")

    answer = import_file(context.config.routing_file, file, replace=replace, dry_run=dry_run)
    return edited("import", answer, [str(file)])
