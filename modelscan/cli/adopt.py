"""``modelscan adopt``: put a GPUStack server's unmanaged model on record."""

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
    name: Annotated[str, typer.Argument(help="A model of the server.", metavar="NAME")],
    target: Annotated[
        str, typer.Option("--target", metavar="TARGET", help="The server that has it.")
    ] = "gpustack",
    no_route: Annotated[
        bool, typer.Option("--no-route", help="Leave the routing file alone.")
    ] = False,
) -> Document:
    """Take over a model of a GPUStack server as it is: record, marker, a real question, route."""
    from modelscan.deploy.unmanaged import adopt as run
    from modelscan.targets.registry import resolve_target

    config = current().config
    with current().output.status(f"adopting {name}"):
        done = run(name, resolve_target(target, config), view.service(), route=not no_route)
    body = Adopted(deployment_row(done))
    return Document("adopt", body, [view.table([done])], [done.name])


app = single(adopt)
