"""The tables of the server's database. ``migrations/versions`` creates them, in ``REVISIONS``."""

from __future__ import annotations

import sqlalchemy as sa

REVISIONS = ("0001", "0005")
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

# One row per request. ``body`` is the whole receipt (msgpack), next to the columns that are
# searched and added up: thirty columns would cost the gateway twice as much per request. One index:
# new rows have the highest id, and the hourly sums name the ids of a route's or a status's rows.
RECEIPTS = sa.Table(
    "receipts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("route", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("backend", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("receipts_by_trace", "trace_id"),
)

# Sums per hour (of UNIX time: seconds // 3600): costs are computed from them, with the prices of
# the day. They outlive the receipts. ``band``: prices differ by the size of the input.
# ``first_id`` and ``last_id``: between which their rows are. Empty texts and status 0 mean
# unknown: a primary key has no NULL.
ROLLUPS = sa.Table(
    "receipt_hours",
    METADATA,
    sa.Column("hour", sa.Integer, primary_key=True),
    *(
        sa.Column(name, sa.Text, primary_key=True)
        for name in ("route", "role", "backend", "host", "served_model", "tier")
    ),
    sa.Column("status", sa.Integer, primary_key=True),
    sa.Column("band", sa.Integer, primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False)
        for name in (
            "requests", "unknown_usage", "input_tokens", "output_tokens", "cached_tokens",
            "reasoning_tokens", "left_bytes", "first_id", "last_id",
        )
    ),
    sa.Column("duration_s", sa.Float, nullable=False),
)  # fmt: skip

# Texts of requests, only where they are kept by choice.
CONTENTS = sa.Table(
    "receipt_contents",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False, index=True),
    sa.Column("request", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("cut", sa.Boolean, nullable=False),
)

# What is recorded: ``receipts`` (present with value "off": none) and ``content`` per name.
TRACE_CHOICES = sa.Table(
    "trace_choices",
    METADATA,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)
