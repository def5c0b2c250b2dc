"""Keys, their use, and receipts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the first tables."""
    _keys()
    op.create_table(
        "changes",
        sa.Column("what", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    _receipts()


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("models", sa.JSON),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("max_concurrent", sa.Integer),
        sa.Column("budget_tokens", sa.BigInteger),
        sa.Column("budget_period", sa.Text),
        sa.Column("default_route", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float),
        sa.Column("last_used_at", sa.Float),
    )
    op.create_table(
        "usage",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("hour", sa.Text, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
    )


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True,
            autoincrement=True,
        ),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("route", "role", "backend", "key")),
        sa.Column("status", sa.Integer, nullable=False),
        *(sa.Column(f"{name}_tokens", sa.BigInteger) for name in ("input", "output")),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )  # fmt: skip
