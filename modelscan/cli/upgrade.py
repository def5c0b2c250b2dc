"""``modelscan upgrade``: newer weights for a deployment; verified, rolled back on failure."""

from __future__ import annotations

from modelscan.cli import deployment_view as view
from modelscan.cli import several
from modelscan.cli.context import current
from modelscan.cli.deploy import progress_text
from modelscan.cli.document import Document, Note
from modelscan.cli.framework import single
from modelscan.core.deployment import Deployment


def upgrade(
    names: several.Names = None, every: several.Every = False, timeout: several.Timeout = None
) -> Document:
    """Download newer weights where the hub has some, restart with them and verify.

    Where the new engine does not become ready, the previous one is started again. To upgrade
    modelscan itself: pip install -U modelscan.
    """
    current_ones: list[str] = []

    def act(name: str) -> Deployment:
        with current().output.status(f"comparing {name} with its hub") as status:
            outcome = view.service().upgrade(
                name, timeout_s=timeout, events=lambda event: status.update(progress_text(event))
            )
        if not outcome.changed:
            current_ones.append(name)
        return outcome.deployment

    ended = several.each(several.selected(names, every, "upgrade"), act, None)
    notes = [Note(f"{name} has the newest weights already") for name in current_ones]
    return several.document("upgrade", *ended, notes)


app = single(upgrade)
