"""The options that only ``deploy`` has, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import click
import typer

if TYPE_CHECKING:
    from modelscan.core.deployment_state import RestartPolicy


@dataclass(frozen=True, slots=True)
class Place:
    """Where it runs, and under which name and address."""

    name: Annotated[
        str | None, typer.Option("--name", help="The deployment's name (default: the model's).")
    ] = None
    target: Annotated[
        str | None,
        typer.Option("--target", metavar="TARGET", help="local, ollama, gpustack or auto."),
    ] = None
    port: Annotated[int | None, typer.Option("--port", metavar="PORT", help="Listen there.")] = None
    expose: Annotated[
        bool, typer.Option("--expose", help="Listen on every interface (needs --api-key).")
    ] = False
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="Require this key: env:NAME or file:PATH."),
    ] = None
    no_route: Annotated[bool, typer.Option("--no-route", help="Leave the routing file alone.")] = (
        False
    )


@dataclass(frozen=True, slots=True)
class Process:
    """The engine's process on this machine."""

    restart: Annotated[
        str | None,
        typer.Option(
            "--restart",
            click_type=click.Choice(("no", "on-failure", "always")),
            help="Start a crashed engine again, at most 5 times (default: on-failure).",
        ),
    ] = None
    ttl: Annotated[
        str | None,
        typer.Option("--ttl", metavar="TIME", help="Stop it after so long unused, e.g. 600, 10m."),
    ] = None
    memory_limit: Annotated[
        str | None,
        typer.Option("--memory-limit", metavar="SIZE", help="Host memory it may allocate."),
    ] = None
    nice: Annotated[
        int | None,
        typer.Option("--nice", min=0, max=19, help="CPU niceness of the engine process (0 to 19)."),
    ] = None
    offline_after_download: Annotated[
        bool,
        typer.Option("--offline-after-download", help="Tell the engine to ask no hub."),
    ] = False

    @property
    def policy(self) -> RestartPolicy | None:
        """``--restart``; Click has checked the choice."""
        return cast("RestartPolicy | None", self.restart)


@dataclass(frozen=True, slots=True)
class Cluster:
    """What only a cluster knows."""

    replicas: Annotated[
        int | None, typer.Option("--replicas", min=1, metavar="N", help="Instances (cluster).")
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
    """How the command itself behaves."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print exactly what would be started.")
    ] = False
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Return when it answers, or at once.")
    ] = True
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", metavar="SECONDS", help="Seconds to wait until ready."),
    ] = None
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Replace a running deployment of that name (model or options)."
        ),
    ] = False
    yes: Annotated[bool, typer.Option("--yes", help="Answer yes to every question.")] = False
    progress: Annotated[
        bool, typer.Option("--progress", help="With --json: a line per event, then the answer.")
    ] = False
    retry_plan: Annotated[
        bool, typer.Option("--retry-plan", help="If it fails for memory, try what would fit.")
    ] = False
