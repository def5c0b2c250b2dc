"""``modelscan doctor``: check this machine and this installation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Note, Table
from modelscan.cli.framework import single
from modelscan.core.errors import EXIT_FAILED


def doctor(
    context: Context,
    probe: Annotated[
        bool, typer.Option("--probe", help="Also connect to the configured catalogs and hubs.")
    ] = False,
) -> Document[Any]:
    """Check this machine and this installation. Sends nothing unless --probe is given."""
    context.settings_checked = True
    with context.output.status("checking"):
        answer = context.workspace.doctor(probe=probe)
    rows = [(check.name, check.status, check.detail, check.hint) for check in answer.checks]
    table = Table(("CHECK", "STATUS", "DETAIL", "HINT"), rows, folded=("DETAIL",), below=("HINT",))
    errors = f"{answer.errors} error{'' if answer.errors == 1 else 's'}"
    return Document(
        "doctor",
        answer,
        [table, Note(f"{len(rows)} checks, {errors}")],
        [check.name for check in answer.checks if check.status == "error"],
        exit_code=EXIT_FAILED if answer.errors else 0,
    )


app = single(doctor)
