"""``modelscan stop``: stop deployments and keep their records."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import deployment_list


def stop(
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
    force: Annotated[
        bool, typer.Option("--force", help="Also a cluster's model that modelscan does not manage.")
    ] = False,
) -> Document:
    """Stop deployments: disable the route, let running requests finish, end the engine."""

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name, force)
        with current().output.status(f"stopping {name}"):
            service, warn = view.service(), current().output.warn
            return service.stop(name, drain_s=drain, events=view.report_cut, warn=warn).deployment

    deployments, error = view.each(view.selected(names, every, "stop"), act)
    body = deployment_list(deployments)
    return Document(
        "stop",
        body,
        [view.table(deployments)],
        [deployment.name for deployment in deployments],
        exit_code=error.exit_code if error else 0,
    )


app = single(stop)
