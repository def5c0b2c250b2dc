"""``modelscan stop``: stop deployments and keep their records."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment


def stop(
    names: several.Names = None,
    every: several.Every = False,
    drain: several.Drain = 10.0,
    force: several.Unmanaged = False,
    sleep: Annotated[
        bool, typer.Option("--sleep", help="A request through the gateway may start it again.")
    ] = False,
) -> Document:
    """Stop deployments: disable the route, let running requests finish, end the engine.

    No request starts a stopped deployment again; with --sleep, one through `modelscan serve` does.
    """

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name, force)
        service, warn = view.service(), current().output.warn
        if sleep:
            return service.sleep(name, drain_s=drain, events=view.report_cut).deployment
        return service.stop(name, drain_s=drain, events=view.report_cut, warn=warn).deployment

    chosen = several.selected(names, every, "stop")
    ended = several.each(chosen, act, "stopping", can_be_interrupted=False)
    return several.document("stop", *ended)


app = single(stop)
