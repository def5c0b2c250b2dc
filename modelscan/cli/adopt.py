"""``modelscan adopt``: manage a model that a GPUStack server runs already."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.deploy.answers import Adopted
from modelscan.deploy.rows import deployment_row


def adopt(
    name: Annotated[str, typer.Argument(help="The model's name on the server.", metavar="NAME")],
    target: Annotated[
        str, typer.Option("--target", metavar="TARGET", help="The server that runs it.")
    ] = "gpustack",
    no_route: Annotated[
        bool, typer.Option("--no-route", help="Do not write a routing entry.")
    ] = False,
) -> Document:
    """Manage a model that a GPUStack server runs already: record, verify and route it."""
    from modelscan.deploy.unmanaged import adopt as run
    from modelscan.targets.registry import resolve_target

    config = current().config
    with current().output.status(f"adopting {name}"):
        deployment = run(name, resolve_target(target, config), view.service(), route=not no_route)
    body = Adopted(deployment_row(deployment))
    return Document("adopt", body, [view.table([deployment])], [deployment.name])


app = single(adopt)
