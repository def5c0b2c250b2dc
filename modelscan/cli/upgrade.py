"""``modelscan upgrade``: newer weights for a deployment; verified, rolled back on failure."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.deploy import progress_text
from modelscan.cli.document import Document, Note
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import deployment_list


def upgrade(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until each is ready."),
    ] = None,
) -> Document:
    """Download newer weights where the hub has some, restart with them and verify.

    Where the new engine does not become ready, the previous one is started again. To upgrade
    modelscan itself: pip install -U modelscan.
    """
    from modelscan.cli.interrupt import interruptible

    current_ones: list[str] = []

    def act(name: str) -> Deployment:
        with current().output.status(f"comparing {name} with its hub") as status:
            outcome = view.service().upgrade(
                name, timeout_s=timeout, events=lambda event: status.update(progress_text(event))
            )
        if not outcome.changed:
            current_ones.append(name)
        return outcome.deployment

    with interruptible():
        deployments, error = view.each(view.selected(names, every, "upgrade"), act)
    notes = [Note(f"{name} has the newest weights already") for name in current_ones]
    return Document(
        "upgrade",
        deployment_list(deployments),
        [view.table(deployments), *notes],
        [deployment.name for deployment in deployments],
        exit_code=error.exit_code if error else 0,
    )


app = single(upgrade)
