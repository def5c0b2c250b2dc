"""``modelscan service``: start deployments after a reboot (systemd)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.document import Block, Document, Fields, Note
from modelscan.cli.framework import command, group
from modelscan.core.deployment import Deployment
from modelscan.deploy.rows import DeploymentList

if TYPE_CHECKING:
    from modelscan.deploy.boot import ServiceUnit

app = group("Start deployments after a reboot.")


@command(app, "install")
def install() -> Document[Any]:
    """Write and enable a systemd user unit that starts interrupted deployments at boot."""
    from modelscan.deploy.boot import install_unit

    return _document("service.install", install_unit())


@command(app, "uninstall")
def uninstall() -> Document[Any]:
    """Disable and remove the unit; running deployments keep running."""
    from modelscan.deploy.boot import uninstall_unit

    return _document("service.uninstall", uninstall_unit())


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
        enable = "systemctl --user enable modelscan.service"
        blocks.append(Note(f"systemd did not enable the unit; later: {enable}"))
    return Document(schema, unit, blocks, [unit.unit])
