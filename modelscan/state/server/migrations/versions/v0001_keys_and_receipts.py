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
    text, number, size = sa.Text, sa.Float, sa.BigInteger
    op.create_table(
        "receipts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("trace_id", text, nullable=False),
        sa.Column("at", number, nullable=False),
        sa.Column("operation", text, nullable=False),
        sa.Column("requested_model", text, nullable=False),
        *(sa.Column(name, text) for name in ("route", "role")),
        sa.Column("reasons", sa.JSON, nullable=False),
        *(sa.Column(name, text) for name in ("served_model", "backend", "host", "tier")),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error", text),
        sa.Column("stream", sa.Boolean, nullable=False),
        *(sa.Column(name, number) for name in ("ttft_s", "duration_s", "queue_s")),
        *(sa.Column(f"{name}_tokens", size) for name in ("input", "output", "cached", "reasoning")),
        sa.Column("finish_reason", text),
        sa.Column("retries", sa.Integer, nullable=False),
        *(sa.Column(name, text) for name in ("fallback_from", "key", "client")),
        sa.Column("bytes_in", size, nullable=False),
        sa.Column("bytes_out", size, nullable=False),
        sa.Column("left_machine_bytes", size, nullable=False),
    )
    op.create_index("receipts_at", "receipts", ["at"])
    op.create_index("receipts_trace", "receipts", ["trace_id"])
