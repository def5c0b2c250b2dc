"""``modelscan list``: every deployment, as it really is."""

from __future__ import annotations

from modelscan.cli import deployment_view as view
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.deploy.rows import deployment_list


def list_() -> Document:
    """Every deployment and its state, checked against what really runs."""
    config, warn = current().config, current().output.warn
    found = view.service().list(warn)
    if (config.paths.config / "targets.toml").exists():
        from modelscan.deploy.unmanaged import unmanaged

        found = (*found, *unmanaged(config, found, warn))
    body = deployment_list(found)
    return Document("list", body, [view.table(found), *view.reasons(found)],
                    [one.name for one in found])  # fmt: skip


app = single(list_)
