"""``modelscan uninstall``: list what modelscan wrote on this machine; ``--yes`` removes it."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import single
from modelscan.core.units import format_bytes
from modelscan.deploy.uninstall import Uninstalled


def uninstall(
    context: Context,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Remove it; without it, it is only listed.")
    ] = False,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the weights that modelscan downloaded.")
    ] = False,
) -> Document[Uninstalled]:
    """List deployments, services, folders and weights that would go; --yes removes them."""
    from modelscan.deploy.uninstall import items, kept
    from modelscan.deploy.uninstall import uninstall as remove

    if yes:
        answer = remove(context.config, weights=weights)
    else:
        found = items(context.config, weights=weights)
        answer = Uninstalled(False, found, kept(context.config, weights=weights))
    rows = [(one.what, one.kind, format_bytes(one.size_bytes)) for one in answer.items]
    table = Table(
        ("WHAT", "KIND", "SIZE"), rows, ("SIZE",), empty="modelscan has written nothing here"
    )
    done = "these were removed" if yes else "these would be removed; nothing was changed"
    state = [Note(done)] if answer.items else []
    blocks: list[Block] = [table, *state, *(Note(f"stays: {note}") for note in answer.kept)]
    if answer.items and not yes:
        again = "modelscan uninstall --yes" + (" --weights" if weights else "")
        return Document("uninstall", answer, blocks, [i.what for i in answer.items], hint=again)
    return Document("uninstall", answer, blocks, [i.what for i in answer.items])


app = single(uninstall)
