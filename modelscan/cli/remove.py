"""``modelscan remove``: stop and delete deployments."""

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
        list[str] | None, typer.Argument(help="Names of deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    drain: Annotated[
        float,
        typer.Option(
            "--drain", min=0, metavar="SECONDS", help="Seconds for running requests to end."
        ),
    ] = 10.0,
    force: Annotated[
        bool, typer.Option("--force", help="Also a cluster's model that modelscan does not manage.")
    ] = False,
) -> Document:
    """Stop deployments and delete their routes, logs and records. Weights are kept."""
    service = view.service()
    selection = view.selected(names, every, "remove")
    if names:
        for name in selection:
            view.adopt_if_unmanaged(name, force)
            service.recorded(name)
    if selection:
        command = "modelscan remove " + ("--all" if every else " ".join(selection))
        view.confirm(f"removing {', '.join(selection)}", yes, command)

    def act(name: str) -> Deployment:
        with current().output.status(f"removing {name}"):
            return service.remove(
                name, drain_s=drain, events=view.report_cut, warn=current().output.warn
            )

    deployments, error = view.each(selection, act)
    rows = [(deployment.name, "removed", deployment.model) for deployment in deployments]
    table = Table(("NAME", "STATE", "MODEL"), rows, empty="there are no deployments to remove")
    body = Removed(tuple(deployment.name for deployment in deployments))
    return Document(
        "remove",
        body,
        [table],
        [deployment.name for deployment in deployments],
        exit_code=error.exit_code if error else 0,
    )


app = single(remove)
