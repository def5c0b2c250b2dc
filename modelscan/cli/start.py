"""``modelscan start``: start stopped or failed deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import deployment_list


def start(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it is ready, or at once.")
    ] = True,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until each is ready."),
    ] = None,
) -> Document:
    """Start stopped or failed deployments with the same plan, and verify them."""
    from modelscan.cli.interrupt import interruptible

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name)
        with current().output.status(f"starting {name}"):
            return view.service().start(name, wait=wait, timeout_s=timeout).deployment

    with interruptible():
        deployments, error = view.each(view.selected(names, every, "start"), act)
    body = deployment_list(deployments)
    return Document(
        "start",
        body,
        [view.table(deployments)],
        [deployment.name for deployment in deployments],
        exit_code=error.exit_code if error else 0,
    )


app = single(start)
