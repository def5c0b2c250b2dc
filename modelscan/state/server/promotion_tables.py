"""The table of promotions: one row each, written before and after every step."""

from __future__ import annotations

import sqlalchemy as sa

from modelscan.state.server.tables import METADATA

# ``body`` is the promotion with its steps (JSON).
PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("route", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("retire_at", sa.Float),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("promotions_of_route", "route", "started_at"),
)
