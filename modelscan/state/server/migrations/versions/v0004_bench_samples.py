"""Results of benchmarks, and the reports that they came from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables of benchmarks."""
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("benchmark_id", "workload", "service_id")
        ),
        *(sa.Column(name, sa.Text) for name in ("asset_id", "service", "report_id", "source")),
        sa.Column("observed_at", sa.Float, nullable=False),
        sa.Column("results", sa.JSON, nullable=False),
        sa.UniqueConstraint("benchmark_id", "workload", "service_id", name="one_sample"),
    )
    op.create_table(
        "bench_reports",
        sa.Column("report_id", sa.Text, primary_key=True),
        sa.Column("observed_at", sa.Float, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
    )
