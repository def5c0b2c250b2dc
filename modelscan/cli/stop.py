"""``modelscan stop``: end deployments and keep them."""

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
        list[str] | None, typer.Argument(help="Deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    drain: Annotated[
        float, typer.Option("--drain", min=0, metavar="SECONDS", help="Wait for running requests.")
    ] = 10.0,
    force: Annotated[
        bool, typer.Option("--force", help="Also a cluster's model that modelscan did not make.")
    ] = False,
) -> Document:
    """Stop deployments: the route is disabled, running requests may end, the engine is ended."""

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name, force)
        with current().output.status(f"stopping {name}"):
            return view.service().stop(name, drain_s=drain).deployment

    done, error = view.each(view.chosen(names, every, "stop"), act)
    body = deployment_list(done)
    return Document("stop", body, [view.table(done)], [one.name for one in done],
                    exit_code=error.exit_code if error else 0)  # fmt: skip


app = single(stop)
