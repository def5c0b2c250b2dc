"""Curations and the results of versions. The record of curations can only grow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TABLE = "curation_steps"
_REFUSAL = "the record of curations is only ever added to"
_SQLITE = tuple(
    f"CREATE TRIGGER {_TABLE}_no_{verb.lower()} BEFORE {verb} ON {_TABLE} "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END"
    for verb in ("UPDATE", "DELETE")
)
_POSTGRESQL = (
    f"CREATE OR REPLACE FUNCTION {_TABLE}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
    f"CREATE TRIGGER {_TABLE}_added_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {_TABLE} "
    f"FOR EACH STATEMENT EXECUTE FUNCTION {_TABLE}_refuse()",
)


def upgrade() -> None:
    """Create the tables, and the triggers that keep the record."""
    _create_steps()
    _create_results()
    dialect = op.get_bind().dialect.name
    for statement in _POSTGRESQL if dialect == "postgresql" else _SQLITE:
        op.execute(sa.text(statement))


def _counter() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _create_steps() -> None:
    op.create_table(
        _TABLE,
        sa.Column("number", _counter(), primary_key=True, autoincrement=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("curation", "slug", "version", "tag", "kind")
        ),
        sa.Column("at", sa.Float, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor_kind", "actor", "facts")),
        sa.Column("reason", sa.Text),
        sa.Column("gates", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    for name in ("curation", "slug"):
        op.create_index(f"ix_{_TABLE}_{name}", _TABLE, [name])


def _create_results() -> None:
    op.create_table(
        "model_results",
        sa.Column("number", _counter(), primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in (
                "report_id", "document", "kind", "name", "digest", "slug", "version", "content",
                "matched_by",
            )
        ),
        sa.Column("observed_at", sa.Float, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("hardware", "quantization")),
        sa.Column("concurrency", sa.Integer),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("ingested_at", sa.Float, nullable=False),
    )  # fmt: skip
    for name in ("report_id", "name"):
        op.create_index(f"ix_model_results_{name}", "model_results", [name])
    op.create_index("model_results_of_version", "model_results", ["slug", "version"])
