"""The tables of curation: the steps that people took, and results of benchmarks per version."""

from __future__ import annotations

import sqlalchemy as sa

from modelscan.state.server.tables import COUNTER, METADATA

# The record of every curation. Rows are only ever added: triggers refuse everything else.
# ``facts`` is the digest of the version's facts at that moment, ``gates`` the checked results.
CURATION_STEPS = sa.Table(
    "curation_steps",
    METADATA,
    sa.Column("number", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("curation", sa.Text, nullable=False, index=True),
    sa.Column("slug", sa.Text, nullable=False, index=True),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("tag", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor_kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("gates", sa.JSON, nullable=False),
    sqlite_autoincrement=True,
)

# One row per suite or load of a report; ``digest`` identifies the tasks, ``document`` the report,
# ``content`` the weights that the version had then: results of other weights do not count.
MODEL_RESULTS = sa.Table(
    "model_results",
    METADATA,
    sa.Column("number", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("report_id", sa.Text, nullable=False, index=True),
    sa.Column("document", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False, index=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("slug", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("matched_by", sa.Text, nullable=False),
    sa.Column("observed_at", sa.Float, nullable=False),
    sa.Column("hardware", sa.Text),
    sa.Column("quantization", sa.Text),
    sa.Column("concurrency", sa.Integer),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("ingested_at", sa.Float, nullable=False),
    sa.Index("model_results_of_version", "slug", "version"),
)
