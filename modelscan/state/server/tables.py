"""The tables of the server's database. ``migrations/versions`` creates them, in ``REVISIONS``."""

from __future__ import annotations

import sqlalchemy as sa

REVISIONS = ("0001",)
"""Every released revision, the oldest first; a file at another one is of a newer modelscan."""

METADATA = sa.MetaData()

KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("models", sa.JSON(none_as_null=True)),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("max_concurrent", sa.Integer),
    sa.Column("budget_tokens", sa.BigInteger),
    sa.Column("budget_period", sa.Text),
    sa.Column("default_route", sa.Text),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("last_used_at", sa.Float),
)

# Tokens per hour of a key, a provider or a role outlive the receipts: budgets count from them.
USAGE = sa.Table(
    "usage",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("hour", sa.Text, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

# A counter per kind of record that grows with each change: another process polls it.
CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

RECEIPTS = sa.Table(
    "receipts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("operation", sa.Text, nullable=False),
    sa.Column("requested_model", sa.Text, nullable=False),
    sa.Column("route", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("served_model", sa.Text),
    sa.Column("backend", sa.Text),
    sa.Column("host", sa.Text),
    sa.Column("tier", sa.Text),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("stream", sa.Boolean, nullable=False),
    sa.Column("ttft_s", sa.Float),
    sa.Column("duration_s", sa.Float),
    sa.Column("queue_s", sa.Float),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("cached_tokens", sa.BigInteger),
    sa.Column("reasoning_tokens", sa.BigInteger),
    sa.Column("finish_reason", sa.Text),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("fallback_from", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("client", sa.Text),
    sa.Column("bytes_in", sa.BigInteger, nullable=False),
    sa.Column("bytes_out", sa.BigInteger, nullable=False),
    sa.Column("left_machine_bytes", sa.BigInteger, nullable=False),
    sa.Index("receipts_at", "at"),
    sa.Index("receipts_trace", "trace_id"),
)
