"""The option ``--export`` of ``plan`` and ``show``, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import click
import typer

from modelscan.cli.document import Document, Text

if TYPE_CHECKING:
    from modelscan.deploy.exports.answers import ExportedPlan

# As in deploy.exports.registry, which a help text need not import; a test compares them.
FORMATS = ("command", "compose", "quadlet", "systemd", "kubernetes", "skypilot", "gpustack")
ExportOption = Annotated[
    str | None,
    typer.Option(
        "--export",
        click_type=click.Choice(FORMATS),
        help="Print a file for another tool instead; its comments have the numbers.",
    ),
]


def export_document(exported: ExportedPlan, warnings: Sequence[str] = ()) -> Document:
    """The file alone on standard output."""
    text = Text(exported.text.rstrip("\n"))
    return Document("plan.export", exported, [text], [exported.name], list(warnings))
