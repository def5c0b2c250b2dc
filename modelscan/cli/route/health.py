"""``modelscan route health``: which entries answer."""

from __future__ import annotations

from typing import Any

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table
from modelscan.core.errors import EXIT_REMOTE


def health(context: Context) -> Document[Any]:
    """Check every entry's server without using tokens. Exit 5 if one does not answer."""
    from modelscan.gateway.route_health import route_health

    with context.output.status("connecting to the entries' servers"):
        answer = route_health(context.config)
    rows = [
        (e.name, e.state, e.where, e.engine, ", ".join(e.served or ()) or e.model, e.reason)
        for e in answer.entries
    ]
    table = Table(
        ("NAME", "STATE", "WHERE", "ENGINE", "MODEL", "REASON"),
        rows,
        empty="the routing file has no entries: modelscan deploy MODEL adds one",
        optional=("ENGINE", "MODEL"),
        whole=("STATE",),
        folded=("REASON",),
    )
    used = ("routable", "unproven")  # requests go there
    names = [entry.name for entry in answer.entries if entry.state in used]
    code = 0 if answer.healthy else EXIT_REMOTE
    return Document("route.health", answer, [table], names, answer.warnings, exit_code=code)
