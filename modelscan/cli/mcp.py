"""``modelscan mcp``: tools for an assistant on this process's standard streams."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from modelscan.cli.context import Context
from modelscan.cli.framework import single
from modelscan.cli.inside import printed_inside


def mcp(
    context: Context,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes", help="Offer deploy, start, stop and remove; each is confirmed."
        ),
    ] = False,
) -> int:
    """Offer modelscan's commands to an assistant by the Model Context Protocol (stdio).

    The assistant starts this command itself. Without --allow-changes its tools only read.
    """
    from modelscan.state.server.extra import require_package

    require_package("modelscan mcp", "mcp")
    from modelscan.mcp.stdio import serve_stdio

    if sys.stdin is not None and sys.stdin.isatty():
        context.output.stderr.write("an assistant's messages are expected on stdin (Ctrl-C ends)\n")
    serve_stdio(printed_inside, allow_changes=allow_changes, offline=context.config.offline)
    return 0


app = single(mcp)
