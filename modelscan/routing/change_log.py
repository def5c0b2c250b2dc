"""Changes of the routing file in the server's log of changes: who, what, when.

Commands and programs record their own changes, whether a gateway runs or not; what a person writes
by hand is recorded by the gateway that reads it. Only where there is a server's database.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.state.config import load


def record_change(
    path: Path, action: str, label: str, before: str | None, after: str
) -> str | None:
    """Record that the file was replaced; the reason where that was not possible.

    ``label`` is the change in words. Only digests of the texts are stored. Another file than the
    configured one is no server's.
    """
    try:
        _record(path, action, label, before, after)
    except ModelscanError as error:
        return f"the log of changes has no row of this change: {error.message}"
    return None


def _record(path: Path, action: str, label: str, before: str | None, after: str) -> None:
    config = load()
    if importlib.util.find_spec("sqlalchemy") is None or config.routing_file != path:
        return
    from modelscan.state.server.audit import local_user, record_audit
    from modelscan.state.server.database import has_records, open_server

    if not has_records(config):
        return
    with open_server(config) as database, database.writing() as connection:
        record_audit(
            connection, local_user(), action, label,
            before=None if before is None else before.encode(), after=after.encode(),
        )  # fmt: skip
