"""``modelscan update``: change replicas or options of a cluster deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.deploy.answers import Updated
from modelscan.deploy.rows import deployment_row

if TYPE_CHECKING:
    from modelscan.cli.deploy_options import Cluster
    from modelscan.core.deployment import Deployment


def update(
    name: Annotated[str, typer.Argument(help="The deployment's name.", metavar="NAME")],
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, metavar="N", help="Number of instances.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param", metavar="KEY[=VALUE]", help="Set an option of the engine (repeatable)."
        ),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop-param", metavar="KEY", help="Remove an option of the engine."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="NAME=VALUE", help="Set an environment variable for the engine."
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until ready."),
    ] = None,
) -> Document:
    """Change replicas (without a restart) or options (with one) of a cluster deployment."""
    from modelscan.cli.deploy_options import Cluster
    from modelscan.cli.options import engine_parameter

    view.adopt_if_unmanaged(name)
    parameters = tuple(engine_parameter(text) for text in param or ())
    deployment = change_cluster(name, Cluster(replicas, env), parameters, drop, timeout)
    launch = deployment.launch.body if isinstance(deployment.launch, ClusterLaunch) else None
    body = Updated(deployment_row(deployment), launch)
    return Document("update", body, [view.table([deployment]), *view.reasons([deployment])], [name])


def change_cluster(
    name: str,
    cluster: Cluster,
    parameters: tuple[tuple[str, str | None], ...],
    dropped: Sequence[str] | None,
    timeout_s: float | None,
) -> Deployment:
    """Change a cluster deployment and wait until it is ready."""
    from modelscan.cli.interrupt import interruptible
    from modelscan.deploy.update import Change

    change = Change(
        replicas=cluster.replicas,
        parameters=parameters,
        dropped=tuple(text.lstrip("-") for text in dropped or ()),
        env=variables(cluster.env or ()),
    )
    with interruptible(), current().output.status(f"updating {name}"):
        return view.service().update(name, change, timeout_s=timeout_s)


def variables(texts: Sequence[str]) -> dict[str, str]:
    """Variables from ``NAME=VALUE`` texts; raises UsageError for other texts."""
    values: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(
                f"'{text}' is not an environment variable", hint="write --env NAME=VALUE"
            )
        values[key] = value
    return values


app = single(update)
