"""``registry resolve``, ``registry export`` and ``registry import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields
from modelscan.cli.framework import command
from modelscan.cli.registry.access import ReferenceArgument, reading, writing


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "resolve")(resolve)
    command(app, "export")(export)
    command(app, "import")(import_)


def resolve(context: Context, reference: ReferenceArgument) -> Document[Any]:
    """Show which weights a name means: address, revision, checksums, memory."""
    from modelscan.cli.registry.view import resolve_document
    from modelscan.registry.names import parse_reference

    parsed = parse_reference(reference)
    with reading(context) as connection:
        from modelscan.registry.answers import resolved_answer
        from modelscan.registry.resolve import resolve_reference

        return resolve_document(resolved_answer(resolve_reference(connection, parsed)))


def export(
    context: Context,
    file: Annotated[Path, typer.Argument(help="The file to write (JSON Lines).", metavar="FILE")],
) -> Document[Any]:
    """Write every model with its versions, tags and aliases to a file. No weights."""
    with reading(context) as connection:
        from modelscan.registry.files import write_export

        answer = write_export(connection, file)
    rows: list[tuple[str, object]] = [
        ("file", answer.file), ("models", answer.models), ("versions", answer.versions),
        ("sha256", answer.sha256),
    ]  # fmt: skip
    return Document("registry.export", answer, [Fields(rows)], [answer.file])


def import_(
    context: Context,
    file: Annotated[Path, typer.Argument(help="A file of registry export.", metavar="FILE")],
) -> Document[Any]:
    """Add the models of a file, without tags that need approvals; what is there already stays."""
    with writing(context) as connection:
        from modelscan.registry.files import read_export
        from modelscan.registry.policy_file import load_policies
        from modelscan.state.server.audit import local_user

        governed = tuple(load_policies(context.config).tags)
        answer = read_export(connection, local_user(), file, governed)
    rows: list[tuple[str, object]] = [
        ("file", answer.file), ("models", answer.models), ("versions", answer.versions),
        ("unchanged", answer.unchanged),
    ]  # fmt: skip
    return Document("registry.import", answer, [Fields(rows)], [answer.file])
