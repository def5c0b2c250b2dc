"""Promotions of versions to routes, with their steps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "promotions",
        sa.Column("id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("route", "slug", "version", "state")
        ),
        sa.Column("started_at", sa.Float, nullable=False),
        sa.Column("retire_at", sa.Float),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("promotions_of_route", "promotions", ["route", "started_at"])
