"""Alembic runs this for each migration; ``database.migrate`` passes its connection."""

from __future__ import annotations

from alembic import context

from modelscan.state.server import (  # noqa: F401 - they add their tables to the metadata
    curation_tables,
    promotion_tables,
    registry_tables,
)
from modelscan.state.server.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite cannot change a column in place
)
with context.begin_transaction():
    context.run_migrations()
