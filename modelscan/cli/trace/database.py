"""Opens the server's database for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelscan.cli.context import Context

if TYPE_CHECKING:
    from modelscan.traces.answers import TraceAccess


@contextmanager
def trace_access(context: Context) -> Iterator[TraceAccess]:
    """The settings and the open database. Raises UsageError where packages are missing."""
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan trace")
    from modelscan.state.server.database import open_server
    from modelscan.traces.answers import TraceAccess

    with open_server(context.config) as database:
        yield TraceAccess(context.config, database)
