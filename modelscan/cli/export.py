"""The option ``--export`` of ``plan`` and ``show``, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli.document import Document, Text
from modelscan.deploy.exports.formats import ExportFormat

if TYPE_CHECKING:
    from modelscan.deploy.exports.answers import ExportedPlan

ExportOption = Annotated[
    ExportFormat | None,
    typer.Option(
        "--export", help="Print a file for another tool instead; its comments have the numbers."
    ),
]


def export_document(exported: ExportedPlan, warnings: Sequence[str] = ()) -> Document:
    """The file alone on standard output."""
    text = Text(exported.text.rstrip("\n"))
    return Document("plan.export", exported, [text], [exported.name], list(warnings))
