"""The frame of the commands that take several deployments: start, stop, restart, upgrade, …"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document, Note
from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.deploy.rows import DeploymentList, deployment_list

Names = Annotated[list[str] | None, typer.Argument(help="Names of deployments.", metavar="NAME...")]
Every = Annotated[bool, typer.Option("--all", help="Every deployment.")]
Drain = Annotated[
    float,
    typer.Option("--drain", min=0, metavar="SECONDS", help="Seconds for running requests to end."),
]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until each is ready."),
]
Unmanaged = Annotated[
    bool, typer.Option("--force", help="Also a cluster's model that modelscan does not manage.")
]
Act = Callable[[str], Deployment]


def selected(names: Sequence[str] | None, every: bool, verb: str) -> list[str]:
    """The selected names: NAME… or --all; raises UsageError for both and for neither."""
    if every and names:
        raise UsageError("give names or --all, not both", hint=f"modelscan {verb} --all")
    if every:
        rows = view.service().list()
        return [row.name for row in rows if verb == "remove" or row.target != view.FOUND]
    if not names:
        raise UsageError(
            "no deployment was given: name some, or use --all",
            hint="modelscan list   (shows their names)",
        )
    return list(dict.fromkeys(names))


def each(
    names: Sequence[str], act: Act, doing: str | None, *, can_be_interrupted: bool = True
) -> tuple[list[Deployment], int]:
    """Call ``act`` for every name; a failure is a warning, and the next name follows.

    Returns the deployments and the exit code of the first error. The error of a single name is
    raised. ``doing`` is shown with the name (None: ``act`` shows what it does).
    ``can_be_interrupted``: Ctrl-C and SIGTERM undo what ``act`` began.
    """
    from modelscan.cli.interrupt import interruptible

    deployments: list[Deployment] = []
    first: ModelscanError | None = None
    with interruptible() if can_be_interrupted else contextlib.nullcontext():
        for name in names:
            try:
                with _shown(doing, name):
                    deployments.append(act(name))
            except ModelscanError as error:
                if len(names) == 1:
                    raise
                current().output.warn(f"{name}: {error.message}")
                first = first or error
    return deployments, first.exit_code if first else 0


def _shown(doing: str | None, name: str) -> contextlib.AbstractContextManager[object]:
    return current().output.status(f"{doing} {name}") if doing else contextlib.nullcontext()


def document(
    schema: str, deployments: Sequence[Deployment], exit_code: int, notes: Sequence[Note] = ()
) -> Document[DeploymentList]:
    """The document of a command that left these deployments."""
    return Document(
        schema, deployment_list(deployments), [view.table(deployments), *notes],
        [deployment.name for deployment in deployments], exit_code=exit_code,
    )  # fmt: skip
