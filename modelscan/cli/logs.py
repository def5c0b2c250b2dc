"""``modelscan logs``: an engine's log with credentials redacted."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document, Text
from modelscan.cli.framework import single
from modelscan.deploy.answers import Log


def logs(
    name: Annotated[str, typer.Argument(help="The deployment's name.", metavar="NAME")],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new lines until the engine ends.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", min=0, metavar="N", help="Only the last N lines.")
    ] = None,
) -> Document | None:
    """Print an engine's log, redacted. With -f and --json: one line of JSON per log line."""
    output = current().output
    view.adopt_if_unmanaged(name)
    lines = view.service().logs(name, tail=tail, follow=follow)
    if not follow:
        log = list(lines)
        text = [Text("\n".join(log))] if log else []
        return Document("logs", Log(name, tuple(log)), text, log)
    for line in lines:
        if current().flags.as_json:
            output.event("log", name=name, line=line)
        else:
            output.line(line)
    return None


app = single(logs)
