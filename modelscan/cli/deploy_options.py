"""The options of ``deploy`` alone, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import click
import typer

from modelscan.core.container import RUNTIMES
from modelscan.core.swap_policy import SwapPolicy

if TYPE_CHECKING:
    from modelscan.core.container import ContainerRuntime
    from modelscan.core.deployment_state import RestartPolicy


@dataclass(frozen=True, slots=True)
class Place:
    """Target, name and address of the deployment."""

    name: Annotated[
        str | None, typer.Option("--name", help="The deployment's name (default: the model's).")
    ] = None
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="local, ollama, gpustack or auto."),
    ] = None
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", help="Port of the server (default: a free one)."),
    ] = None
    expose: Annotated[
        bool, typer.Option("--expose", help="Listen on every interface (requires --api-key).")
    ] = False
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="Require this key: env:NAME or file:PATH."),
    ] = None
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            click_type=click.Choice(RUNTIMES),
            help="Run the engine in a container (default: as a process).",
        ),
    ] = None
    image: Annotated[
        str | None,
        typer.Option(
            "--image", metavar="IMAGE", help="The container's image (default: the official one)."
        ),
    ] = None
    no_route: Annotated[bool, typer.Option("--no-route", help="Do not write a routing entry.")] = (
        False
    )

    @property
    def container_runtime(self) -> ContainerRuntime | None:
        """``--runtime``; Click has checked the choice."""
        return cast("ContainerRuntime | None", self.runtime)


@dataclass(frozen=True, slots=True)
class Process:
    """The engine's process on this machine."""

    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            click_type=click.Choice(("no", "on-failure", "always")),
            help="When to restart the engine, at most 5 times (default: on-failure).",
        ),
    ] = None
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl", metavar="TIME", help="Sleep after this time without a request, e.g. 600, 10m."
        ),
    ] = None
    pin: Annotated[
        bool | None,
        typer.Option(
            "--pin/--no-pin",
            help="Never end it to make room for another model.",
            show_default=False,
        ),
    ] = None
    priority: Annotated[
        int | None,
        typer.Option(
            "--priority", metavar="N", help="Lower ones make room for others first (default: 0)."
        ),
    ] = None
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Of a group's members at most one runs; '' for no group.",
        ),
    ] = None
    memory_limit: Annotated[
        str | None,
        typer.Option(
            "--memory-limit", metavar="SIZE", help="Limit of the engine's host memory, e.g. 8GiB."
        ),
    ] = None
    nice: Annotated[
        int | None,
        typer.Option("--nice", min=0, max=19, help="CPU niceness of the engine process (0 to 19)."),
    ] = None
    offline_after_download: Annotated[
        bool,
        typer.Option("--offline-after-download", help="Forbid the engine requests to hubs."),
    ] = False

    @property
    def policy(self) -> RestartPolicy | None:
        """``--restart``; Click has checked the choice."""
        return cast("RestartPolicy | None", self.restart)

    def swap_policy(self, before: SwapPolicy) -> SwapPolicy:
        """``--pin``, ``--priority`` and ``--group``; those that were not given stay."""
        return SwapPolicy(
            pin=before.pin if self.pin is None else self.pin,
            priority=before.priority if self.priority is None else self.priority,
            group=before.group if self.group is None else (self.group or None),
        )


@dataclass(frozen=True, slots=True)
class Cluster:
    """Options of a cluster deployment."""

    replicas: Annotated[
        int | None,
        typer.Option("--replicas", min=1, metavar="N", help="Number of instances (cluster)."),
    ] = None
    env: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME=VALUE",
            help="Set an environment variable of the engine (cluster).",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class How:
    """Options of the command itself."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the process or request; start nothing.")
    ] = False
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it is ready, or at once.")
    ] = True
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until ready."),
    ] = None
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace a running deployment that has this name."),
    ] = False
    yes: Annotated[bool, typer.Option("--yes", help="Answer yes to every question.")] = False
    progress: Annotated[
        bool, typer.Option("--progress", help="With --json: one line per event, then the answer.")
    ] = False
    retry_plan: Annotated[
        bool, typer.Option("--retry-plan", help="After a failure with a known remedy, apply it.")
    ] = False
    bench: Annotated[
        bool, typer.Option("--bench", help="Then measure its speed and store the result.")
    ] = False
