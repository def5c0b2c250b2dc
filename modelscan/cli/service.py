"""``modelscan service``: start deployments and the endpoint after a reboot (systemd)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note
from modelscan.cli.framework import command, group
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import DeploymentList

if TYPE_CHECKING:
    from modelscan.deploy.boot import ServiceUnit

app = group("Start deployments and the endpoint after a reboot.")
Serve = Annotated[bool, typer.Option("--serve", help="The unit that runs modelscan serve.")]


@command(app, "install")
def install(
    serve: Serve = False,
    options: Annotated[
        list[str] | None,
        typer.Argument(help="With --serve: its options, after --.", metavar="[-- OPTION...]"),
    ] = None,
) -> Document[Any]:
    """Write and enable a systemd user unit that starts interrupted deployments at boot."""
    from modelscan.core.errors import UsageError
    from modelscan.deploy.boot import install_unit

    if options and not serve:
        raise UsageError(
            "only --serve has options", hint="modelscan service install --serve -- --port 8900"
        )
    if serve:
        _check_options(options or [])
    return _document("service.install", install_unit(options or [] if serve else None))


def _check_options(options: list[str]) -> None:
    """Raises click.UsageError for what ``modelscan serve`` would refuse."""
    from typer.main import get_command

    from modelscan.cli.serve import app as serve_app

    get_command(serve_app).make_context("modelscan serve", list(options), obj=current())


@command(app, "uninstall")
def uninstall(serve: Serve = False) -> Document[Any]:
    """Disable and remove the unit; running deployments keep running."""
    from modelscan.deploy.boot import SERVE_UNIT, UNIT, uninstall_unit

    return _document("service.uninstall", uninstall_unit(SERVE_UNIT if serve else UNIT))


@command(app, "run")
def run() -> Document[DeploymentList]:
    """Start every local deployment that ran when the machine went down (the unit calls this)."""
    service = view.service()

    def start(name: str) -> Deployment:
        return service.start(name).deployment

    return several.document(
        "service.run", *several.each(service.interrupted(), start, "starting")
    )  # fmt: skip


def _document(schema: str, unit: ServiceUnit) -> Document[ServiceUnit]:
    pairs = [("unit", unit.unit), ("installed", unit.installed), ("enabled", unit.enabled)]
    blocks: list[Block] = [Fields(pairs)]
    if unit.installed and unit.enabled:
        blocks.append(Note("to start at boot instead of at log-in: loginctl enable-linger"))
    elif unit.installed:
        enable = f"systemctl --user enable {Path(unit.unit).name}"
        blocks.append(Note(f"systemd did not enable the unit; later: {enable}"))
    return Document(schema, unit, blocks, [unit.unit])
