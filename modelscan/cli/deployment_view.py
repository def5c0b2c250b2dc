"""A deployment as rows, fields and JSON: shared by deploy, list, show, start, stop, remove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Fields, Note, Table
from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.units import format_bytes, format_tokens

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.deployments import Deployments

COLUMNS = ("NAME", "STATE", "HEALTH", "MODEL", "QUANT", "BACKEND", "CONTEXT", "ENDPOINT", "TARGET")


def service() -> Deployments:
    """The deployments of this command's settings; Ctrl-C does not tear a clean-up."""
    from modelscan.cli.interrupt import undisturbed
    from modelscan.deploy.deployments import Deployments

    return Deployments(current().config, shield=undisturbed)


def table(deployments: Sequence[Deployment]) -> Table:
    """One row each."""
    rows = [
        (
            one.name, one.state, one.health if one.managed else "unmanaged", one.model,
            one.quantization, one.backend,
            format_tokens(one.context_tokens), one.endpoint, one.target,
        )
        for one in deployments
    ]  # fmt: skip
    return Table(
        COLUMNS, rows, numeric=("CONTEXT",), empty="no deployments yet: modelscan deploy demo",
        optional=("MODEL", "HEALTH", "CONTEXT", "BACKEND", "QUANT", "TARGET"),
        whole=("STATE", "ENDPOINT"),
    )  # fmt: skip


def reasons(deployments: Iterable[Deployment]) -> list[Note]:
    """Why the ones that do not run do not."""
    return [
        Note(f"{one.name}: {one.reason}")
        for one in deployments
        if one.reason and (one.managed or one.state is State.FAILED)
    ]


def fields(deployment: Deployment) -> Fields:
    """The deployment itself, for people."""
    pairs: list[tuple[str, object]] = [
        ("name", deployment.name),
        ("state", deployment.state),
        ("health", deployment.health),
        ("model", deployment.model),
        ("quantization", deployment.quantization),
        ("backend", deployment.backend),
        ("target", deployment.target),
        ("context", format_tokens(deployment.context_tokens)),
        ("gpus", ",".join(map(str, deployment.gpus)) or "none (CPU)"),
        ("endpoint", deployment.endpoint),
        ("route", deployment.route),
        ("pid", deployment.pid),
        ("restart", _restart(deployment)),
        (
            "stops when unused",
            None if deployment.ttl_s is None else f"after {deployment.ttl_s:g} s",
        ),
        ("created", deployment.created_at),
        ("log", deployment.log_path),
    ]
    if deployment.reason:
        pairs.insert(2, ("reason", deployment.reason))
    return Fields(pairs)


def _restart(deployment: Deployment) -> str | None:
    """The policy, and what it came to."""
    if deployment.restart is None:
        return None
    times = f", {deployment.restarts} so far" if deployment.restarts else ""
    return deployment.restart + times


def memory_table(deployment: Deployment) -> Table:
    """Estimated and measured memory for people."""
    from modelscan.deploy.answers import memory_rows

    rows = [
        (
            row.part,
            format_bytes(row.estimated_bytes),
            format_bytes(row.measured_bytes),
            format_bytes(row.difference_bytes),
            None if row.difference_fraction is None else f"{row.difference_fraction:+.1%}",
        )
        for row in memory_rows(deployment)
    ]
    columns = ("MEMORY", "ESTIMATED", "MEASURED", "DIFFERENCE", "PERCENT")
    return Table(columns, rows, numeric=columns[1:])


def chosen(names: Sequence[str] | None, every: bool, verb: str) -> list[str]:
    """NAME… or --all, exactly one of them; raises UsageError otherwise."""
    if every and names:
        raise UsageError("give names or --all, not both", hint=f"modelscan {verb} --all")
    if every:
        return [one.name for one in service().list()]
    if not names:
        raise UsageError("no deployment was named", hint=f"modelscan {verb} NAME, or --all")
    return list(dict.fromkeys(names))


def confirm(question: str, yes: bool, command: str) -> None:
    """Ask on a terminal; without one, ``--yes`` is needed. Raises UsageError for a no."""
    if yes:
        return
    import sys

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"{question}: cannot ask for confirmation, standard input is not a terminal",
            hint=f"{command} --yes",
            code="needs_yes",
        )
    import click

    if not click.confirm(question + "?", err=True):
        raise UsageError("nothing was done", code="declined")


def adopt_if_unmanaged(name: str, force: bool | None = None) -> None:
    """``--force``: a cluster's model that modelscan did not make is adopted, then acted on.

    Without (None: the command has no such option), UsageError says where it is.
    """
    if (current().config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import adopt_if_unmanaged as adopt

        adopt(name, service(), force=force)


def each(names: Sequence[str], act: Any) -> tuple[list[Deployment], ModelscanError | None]:
    """Do it to every name; a failure is a warning and does not keep the others from their turn.

    Returns what was done and, when something failed, the first error (raised by the caller if
    nothing else was to be reported).
    """
    done: list[Deployment] = []
    first: ModelscanError | None = None
    for name in names:
        try:
            done.append(act(name))
        except ModelscanError as error:
            if len(names) == 1:
                raise
            current().output.warn(f"{name}: {error.message}")
            first = first or error
    return done, first
