"""``modelscan remove``: end deployments and forget them."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.answers import Removed


def remove(
    names: Annotated[
        list[str] | None, typer.Argument(help="Deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    drain: Annotated[
        float, typer.Option("--drain", min=0, metavar="SECONDS", help="Wait for running requests.")
    ] = 10.0,
    force: Annotated[
        bool, typer.Option("--force", help="Also a cluster's model that modelscan did not make.")
    ] = False,
) -> Document:
    """Stop deployments and forget them: process, route, log and record. Weights stay."""
    service = view.service()
    wanted = view.chosen(names, every, "remove")
    if names:
        for name in wanted:
            view.adopt_if_unmanaged(name, force)
            service.recorded(name)
    if wanted:
        command = "modelscan remove " + ("--all" if every else " ".join(wanted))
        view.confirm(f"removing {', '.join(wanted)}", yes, command)

    def act(name: str) -> Deployment:
        with current().output.status(f"removing {name}"):
            return service.remove(name, drain_s=drain)

    done, error = view.each(wanted, act)
    rows = [(one.name, "removed", one.model) for one in done]
    table = Table(("NAME", "STATE", "MODEL"), rows, empty="there was nothing to remove")
    body = Removed(tuple(one.name for one in done))
    return Document("remove", body, [table], [one.name for one in done],
                    exit_code=error.exit_code if error else 0)  # fmt: skip


app = single(remove)
