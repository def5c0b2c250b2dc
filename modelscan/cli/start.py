"""``modelscan start``: start stopped or failed deployments."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment


def start(
    names: several.Names = None,
    every: several.Every = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it is ready, or at once.")
    ] = True,
    timeout: several.Timeout = None,
) -> Document:
    """Start stopped or failed deployments with the same plan, and verify them."""

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name)
        return view.service().start(name, wait=wait, timeout_s=timeout).deployment

    chosen = several.selected(names, every, "start")
    return several.document("start", *several.each(chosen, act, "starting"))


app = single(start)
