"""The registry: models, versions, tags, aliases, what is searched, and the events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the tables."""
    _models()
    _versions()
    _labels()
    op.create_table(
        "registry_terms",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("value", _WORD, primary_key=True),
        sa.Column("slug", _WORD, primary_key=True),
    )
    op.create_index("registry_terms_of_model", "registry_terms", ["slug"])
    op.create_table(
        "events",
        sa.Column("id", _COUNTER, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("slug", _WORD),
        sa.Column("version", sa.Text),
        sa.Column("etag", sa.Text),
        sa.Column("data", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_of_model", "events", ["slug", "id"])


def _models() -> None:
    op.create_table(
        "registry_models",
        sa.Column("slug", _WORD, primary_key=True),
        sa.Column("family", sa.Text),
        sa.Column("license", sa.Text),
        sa.Column("visibility", sa.Text, nullable=False),
        sa.Column("context_tokens", sa.BigInteger),
        sa.Column("min_vram_bytes", sa.BigInteger),
        sa.Column("last_number", sa.Integer, nullable=False),
        *_stored(),
    )
    for name, column in (
        ("family", "family"), ("license", "license"), ("update", "updated_at"),
    ):  # fmt: skip
        op.create_index(f"registry_models_by_{name}", "registry_models", [column, "slug"])


def _versions() -> None:
    op.create_table(
        "registry_versions",
        sa.Column("slug", _WORD, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("min_vram_bytes", sa.BigInteger),
        *_stored(),
    )
    op.create_index("registry_versions_by_digest", "registry_versions", ["slug", "digest"])


def _labels() -> None:
    op.create_table(
        "registry_tags",
        sa.Column("slug", _WORD, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tag", sa.Text, primary_key=True),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    columns = ["tag", "active", "slug", "number"]
    op.create_index("registry_tags_by_tag", "registry_tags", columns)
    op.create_table(
        "registry_aliases",
        sa.Column("slug", _WORD, primary_key=True),
        sa.Column("alias", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def _stored() -> list[sa.Column[object]]:
    return [
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("etag", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    ]
