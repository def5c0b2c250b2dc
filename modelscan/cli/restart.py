"""``modelscan restart``: stop and start deployments."""

from __future__ import annotations

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.document import Document
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment


def restart(
    names: several.Names = None,
    every: several.Every = False,
    drain: several.Drain = 10.0,
    timeout: several.Timeout = None,
) -> Document:
    """Stop deployments, wait until they have ended, start them again and verify them."""

    def act(name: str) -> Deployment:
        view.adopt_if_unmanaged(name)
        service = view.service()
        outcome = service.restart(
            name, drain_s=drain, timeout_s=timeout, events=view.report_cut
        )  # fmt: skip
        return outcome.deployment

    chosen = several.selected(names, every, "restart")
    return several.document("restart", *several.each(chosen, act, "restarting"))


app = single(restart)
