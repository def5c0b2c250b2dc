"""``modelscan update``: change replicas or options of a cluster deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.errors import UsageError
from modelscan.deploy.answers import Updated
from modelscan.deploy.rows import deployment_row


def update(
    name: Annotated[str, typer.Argument(help="A deployment's name.", metavar="NAME")],
    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, metavar="N", help="How many instances.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY[=VALUE]", help="Set an engine option (repeatable)."),
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop-param", metavar="KEY", help="Take an engine option away."),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env", metavar="NAME=VALUE", help="Set a variable in the engine's environment."
        ),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="For it to be ready.")
    ] = None,
) -> Document:
    """Change a deployment on a cluster: scaled in place, restarted for other options; verified."""
    from modelscan.cli.interrupt import interruptible
    from modelscan.cli.options import engine_parameter
    from modelscan.core.launch import ClusterLaunch
    from modelscan.deploy.update import Change

    change = Change(
        replicas=replicas,
        parameters=tuple(engine_parameter(text) for text in param or ()),
        dropped=tuple(text.lstrip("-") for text in drop or ()),
        env=variables(env or ()),
    )
    view.adopt_if_unmanaged(name)
    with interruptible(), current().output.status(f"updating {name}"):
        done = view.service().update(name, change, timeout_s=timeout)
    launch = done.launch.body if isinstance(done.launch, ClusterLaunch) else None
    body = Updated(deployment_row(done), launch)
    return Document("update", body, [view.table([done]), *view.reasons([done])], [name])


def variables(texts: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` words; raises UsageError for others."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise UsageError(f"'{text}' is not a variable", hint="write --env NAME=VALUE")
        found[key] = value
    return found


app = single(update)
