"""``modelscan list``: every deployment in its present state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.cli.watch import Count, Interval, watched
from modelscan.core.errors import UsageError
from modelscan.deploy.rows import deployment_list

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment


def list_(
    context: Context,
    updates: Annotated[
        bool, typer.Option("--updates", help="Compare the pulled weights with their hubs instead.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")] = False,
    interval: Interval = 2.0,
    count: Count = None,
) -> Document | None:
    """List every deployment with its state and memory, checked against what runs."""
    if updates:
        if watch:
            raise UsageError("--updates asks the hubs once", hint="modelscan list --updates")
        from modelscan.cli.cache import updates as compare

        document: Document = compare(context)
        return document
    if watch:
        watched(context, "list", lambda: _document(context), interval, count)
        return None
    return _document(context)


def _document(context: Context) -> Document:
    deployments = _everything(context)
    return Document(
        "list",
        deployment_list(deployments),
        [
            view.table(deployments),
            *view.memory_bars(deployments),
            *view.reasons(deployments),
        ],
        [deployment.name for deployment in deployments],
    )


def _everything(context: Context) -> tuple[Deployment, ...]:
    """The deployments of this machine and the models of clusters that modelscan did not start."""
    config, warn = context.config, context.output.warn
    deployments = view.service().list(warn)
    if (config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import unmanaged

        try:
            return (*deployments, *unmanaged(config, deployments, warn))
        except UsageError as error:  # targets.toml cannot be read: the rest is listed
            warn(error.message)
    return deployments


app = single(list_)
