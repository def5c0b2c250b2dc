"""``modelscan remove``: stop and delete deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.context import current
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.answers import Removed


def remove(
    names: several.Names = None,
    every: several.Every = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    drain: several.Drain = 10.0,
    force: several.Unmanaged = False,
) -> Document:
    """Stop deployments and delete their routes, logs and records. Weights are kept."""
    service = view.service()
    selection = several.selected(names, every, "remove")
    if names:
        for name in selection:
            view.adopt_if_unmanaged(name, force)
            service.recorded(name)
    if selection:
        command = "modelscan remove " + ("--all" if every else " ".join(selection))
        view.confirm(f"removing {', '.join(selection)}", yes, command)

    def act(name: str) -> Deployment:
        warn = current().output.warn
        return service.remove(name, drain_s=drain, events=view.report_cut, warn=warn)

    deployments, code = several.each(selection, act, "removing", can_be_interrupted=False)
    rows = [(deployment.name, "removed", deployment.model) for deployment in deployments]
    table = Table(("NAME", "STATE", "MODEL"), rows, empty="there are no deployments to remove")
    body = Removed(tuple(deployment.name for deployment in deployments))
    return Document(
        "remove",
        body,
        [table],
        [deployment.name for deployment in deployments],
        exit_code=code,
    )


app = single(remove)
