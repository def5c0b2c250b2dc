"""The document of a changed routing file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.document import Block, Document, Note, Text

if TYPE_CHECKING:
    from modelscan.routing.edits import RoutingFileEdited

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change, write nothing.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set a key, dotted for inner ones; VALUE is YAML."
    ),
]
Unset = Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Remove a key.")]


def edited(
    command: str, answer: RoutingFileEdited, ids: Sequence[str] = (), hint: str | None = None
) -> Document[Any]:
    """The change as its lines; nothing changed is no failure."""
    blocks: list[Block] = [Text("\n".join(answer.diff))] if answer.diff else []
    if not answer.diff:
        blocks = [Note("nothing changed: the routing file says this already")]
    elif not answer.applied:
        blocks.append(Note("nothing was written (--dry-run)"))
    warnings = [one.message for one in answer.findings]
    return Document(f"route.{command}", answer, blocks, list(ids), warnings, hint=hint)
