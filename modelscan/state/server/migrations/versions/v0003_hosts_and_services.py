"""Nodes: their hosts and services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables of nodes."""
    op.create_table(
        "hosts",
        sa.Column("host_id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text) for name in ("key", "instance")),
        sa.Column("retired", sa.JSON, nullable=False),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("node_clock", sa.Float),
        *(
            sa.Column(name, sa.Float, nullable=False)
            for name in ("registered_at", "last_seen", "interval_s")
        ),
        sa.Column("drained", sa.Boolean, nullable=False),
        sa.Column("left_at", sa.Float),
        sa.Column("local", sa.Boolean, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        *(sa.Column(name, sa.LargeBinary) for name in ("beat", "access_key")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("changed", "beaten")),
    )
    op.create_table(
        "services",
        sa.Column("service_id", sa.Text, primary_key=True),
        sa.Column("host_id", sa.Text, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("services_of_host", "services", ["host_id"])
