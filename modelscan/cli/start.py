"""``modelscan start``: bring stopped deployments back."""

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
        list[str] | None, typer.Argument(help="Deployments.", metavar="NAME...")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it answers, or at once.")
    ] = True,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="For each to be ready.")
    ] = None,
) -> Document:
    """Start stopped or failed deployments as they were planned, and verify them."""
    from modelscan.cli.interrupt import interruptible

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name)
        with current().output.status(f"starting {name}"):
            return view.service().start(name, wait=wait, timeout_s=timeout).deployment

    with interruptible():
        done, error = view.each(view.chosen(names, every, "start"), act)
    body = deployment_list(done)
    return Document("start", body, [view.table(done)], [one.name for one in done],
                    exit_code=error.exit_code if error else 0)  # fmt: skip


app = single(start)
