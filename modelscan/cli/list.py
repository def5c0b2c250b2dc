"""``modelscan list``: every deployment in its present state."""

from __future__ import annotations

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.deploy.rows import deployment_list


def list_() -> Document:
    """List every deployment with its state, checked against what runs."""
    config, warn = current().config, current().output.warn
    deployments = view.service().list(warn)
    if (config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import unmanaged

        deployments = (*deployments, *unmanaged(config, deployments, warn))
    body = deployment_list(deployments)
    return Document(
        "list",
        body,
        [view.table(deployments), *view.reasons(deployments)],
        [deployment.name for deployment in deployments],
    )


app = single(list_)
