"""Deployments as tables and fields, for deploy, list, show, start, stop and remove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from modelscan.cli.context import current
from modelscan.cli.document import Bar, Fields, Note, Table
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.core.units import format_bytes, format_speed, format_tokens

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.measurement import SpeedMeasurement
    from modelscan.deploy.deployments import Deployments
    from modelscan.targets.events import Event

FOUND = "found"  # servers that modelscan did not start
COLUMNS = (
    "NAME", "STATE", "HEALTH", "MODEL", "QUANT", "BACKEND", "CONTEXT", "PROMISED", "MEASURED",
    "ENDPOINT", "TARGET",
)  # fmt: skip


def service() -> Deployments:
    """The deployments of this command's settings; Ctrl-C does not interrupt a clean-up."""
    from modelscan.cli.interrupt import undisturbed
    from modelscan.deploy.deployments import Deployments

    return Deployments(current().config, shield=undisturbed)


def table(deployments: Sequence[Deployment]) -> Table:
    """One row per deployment."""
    rows = [
        (
            deployment.name,
            state_text(deployment),
            deployment.health if deployment.managed else "unmanaged",
            deployment.model,
            deployment.quantization,
            deployment.backend,
            deployment.context_tokens,
            format_bytes(promised_bytes(deployment)),
            format_bytes(measured_bytes(deployment)),
            deployment.endpoint,
            deployment.target,
        )
        for deployment in deployments
    ]
    return Table(
        COLUMNS, rows, numeric=("CONTEXT", "PROMISED", "MEASURED"),
        empty="no deployments: modelscan deploy demo",
        optional=(
            "MEASURED", "CONTEXT", "MODEL", "HEALTH", "PROMISED", "BACKEND", "QUANT", "TARGET",
        ),
        whole=("STATE", "ENDPOINT"),
    )  # fmt: skip


def state_text(deployment: Deployment) -> str:
    """Its state; asleep where a request through the gateway starts it again."""
    stopped = deployment.state is State.STOPPED
    return "asleep" if stopped and deployment.asleep else deployment.state.value


def promised_bytes(deployment: Deployment) -> int | None:
    """The estimate that the deployment was admitted with."""
    return deployment.plan.estimate.total_bytes if deployment.plan else None


def measured_bytes(deployment: Deployment) -> int | None:
    """What its engine reported that it allocated, while it runs."""
    running = deployment.state is State.RUNNING
    return deployment.measured.total_bytes if running and deployment.measured else None


def memory_bars(deployments: Iterable[Deployment]) -> list[Bar]:
    """What each running engine has allocated of what it was admitted with."""
    return [
        Bar(one.name, [("measured", measured)], promised)
        for one in deployments
        if (measured := measured_bytes(one)) and (promised := promised_bytes(one))
    ]


def reasons(deployments: Iterable[Deployment]) -> list[Note]:
    """The reasons of the deployments that do not run."""
    return [
        Note(f"{deployment.name}: {deployment.reason}")
        for deployment in deployments
        if deployment.reason and (deployment.managed or deployment.state is State.FAILED)
    ]


def fields(deployment: Deployment) -> Fields:
    """The fields of one deployment."""
    pairs: list[tuple[str, object]] = [
        ("name", deployment.name),
        ("state", state_text(deployment)),
        ("health", deployment.health),
        ("model", deployment.model),
        ("quantization", deployment.quantization),
        ("backend", deployment.backend),
        ("target", deployment.target),
        ("context", format_tokens(deployment.context_tokens)),
        ("gpus", _gpus(deployment)),
        ("endpoint", deployment.endpoint),
        ("route", deployment.route),
        ("container", _container(deployment)),
        ("pid", None if deployment.pid is None else str(deployment.pid)),
        ("restart", _restart(deployment)),
        (
            "sleeps after",
            None if deployment.ttl_s is None else f"{deployment.ttl_s:,.0f} s without a request",
        ),
        ("makes room", _swap_text(deployment)),
        ("group", deployment.group),
        ("created", deployment.created_at),
        ("log", deployment.log_path),
    ]
    if deployment.reason:
        pairs.insert(2, ("reason", deployment.reason))
    return Fields(pairs)


def _swap_text(deployment: Deployment) -> str | None:
    """When it makes room for other deployments; None for what holds without an option."""
    if deployment.pin:
        return "never (pinned)"
    return f"priority {deployment.priority}" if deployment.priority else None


def _container(deployment: Deployment) -> str | None:
    """The runtime and the image of its container; None for a process."""
    launch = deployment.launch
    if not isinstance(launch, LocalLaunch) or launch.container is None:
        return None
    return f"{launch.container.runtime}, {launch.container.image}" + (
        f"@{launch.container.digest}" if launch.container.digest else ""
    )


def _gpus(deployment: Deployment) -> str:
    if deployment.gpus:
        return ",".join(map(str, deployment.gpus))
    return "none (CPU)" if deployment.plan is not None else "unknown"


def request_notes(deployment: Deployment) -> list[Note]:
    """How to send it a request: a command to paste, and what other programs must know."""
    from modelscan.deploy.answers import curl_line

    line = curl_line(deployment)
    if line is None:
        return []
    key = deployment.api_key or "any text"
    model = deployment.served_model or deployment.model
    facts = f"base URL {deployment.endpoint}/v1, model {model}, API key: {key}"
    return [Note(f"\nclients: {facts}"), Note(f"send a request:\n{line}")]


def _restart(deployment: Deployment) -> str | None:
    """The restart policy and the number of restarts."""
    if deployment.restart is None:
        return None
    times = f", restarts so far: {deployment.restarts}" if deployment.restarts else ""
    return deployment.restart + times


def memory_table(deployment: Deployment) -> Table:
    """Estimated and measured memory per part."""
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


def speed_table(deployment: Deployment, speeds: Sequence[SpeedMeasurement]) -> Table | None:
    """Estimated and measured tokens per second of one request; None where neither is known."""
    from modelscan.deploy.answers import speed_rows

    rows = [
        (
            row.what,
            format_speed(row.estimated_tokens_per_s),
            format_speed(row.measured_tokens_per_s),
            None if row.difference_fraction is None else f"{row.difference_fraction:+.1%}",
            row.observed_at,
        )
        for row in speed_rows(deployment, speeds)
    ]
    columns = ("TOKENS/S", "ESTIMATED", "MEASURED", "PERCENT", "MEASURED_AT")
    return Table(columns, rows, numeric=columns[1:4], optional=columns[4:]) if rows else None


def measured_speeds() -> tuple[SpeedMeasurement, ...]:
    """The speeds that benchmarks measured on this machine."""
    from modelscan.deploy.shown import measured_speeds

    return measured_speeds(current().config)


def confirm(question: str, yes: bool, command: str) -> None:
    """Ask for confirmation on a terminal; without one ``--yes`` is required.

    Raises UsageError where the answer is no or no terminal is there.
    """
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
        raise UsageError("cancelled", code="declined")


def report_cut(event: Event) -> None:
    """Warn about requests that a stop has cut."""
    from modelscan.targets.events import RequestsCut

    if isinstance(event, RequestsCut):
        current().output.warn(event.text)


def adopt_if_unmanaged(name: str, force: bool | None = None) -> None:
    """Adopt a cluster's unmanaged model of that name where ``force`` (``--force``) is True.

    Otherwise raises UsageError with its target; None: the command has no ``--force``.
    """
    if (current().config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import adopt_if_unmanaged as adopt

        adopt(name, service(), force=force)
