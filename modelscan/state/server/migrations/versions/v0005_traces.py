"""Sums of receipts per hour, texts that are kept by choice, and an index by the trace's id."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the tables; receipts that are there already are in no sum."""
    op.create_index("receipts_by_trace", "receipts", ["trace_id"])
    _rollups()
    op.create_table(
        "receipt_contents",
        sa.Column("id", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False, index=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.Column("cut", sa.Boolean, nullable=False),
    )
    op.create_table(
        "trace_choices",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("what", "kind", "name")),
        sa.Column("at", sa.Float, nullable=False),
    )


def _rollups() -> None:
    texts = ("route", "role", "backend", "host", "served_model", "tier")
    sums = (
        "requests", "unknown_usage", "input_tokens", "output_tokens", "cached_tokens",
        "reasoning_tokens", "left_bytes", "first_id", "last_id",
    )  # fmt: skip
    op.create_table(
        "receipt_hours",
        sa.Column("hour", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, primary_key=True) for name in texts),
        *(sa.Column(name, sa.Integer, primary_key=True) for name in ("status", "band")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in sums),
        sa.Column("duration_s", sa.Float, nullable=False),
    )
