"""``modelscan restart``: stop deployments and start them with the same plan."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import deployment_list


def restart(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    drain: Annotated[
        float,
        typer.Option(
            "--drain", min=0, metavar="SECONDS", help="Seconds for running requests to end."
        ),
    ] = 10.0,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until each is ready."),
    ] = None,
) -> Document:
    """Stop deployments, wait until they have ended, start them again and verify them."""
    from modelscan.cli.interrupt import interruptible

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name)
        with current().output.status(f"restarting {name}"):
            return (
                view.service()
                .restart(name, drain_s=drain, timeout_s=timeout, events=view.report_cut)
                .deployment
            )

    with interruptible():
        deployments, error = view.each(view.selected(names, every, "restart"), act)
    body = deployment_list(deployments)
    return Document(
        "restart",
        body,
        [view.table(deployments)],
        [deployment.name for deployment in deployments],
        exit_code=error.exit_code if error else 0,
    )


app = single(restart)
