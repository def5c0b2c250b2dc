"""The registry's tables: models, versions, tags, aliases, what is searched, and the events."""

from __future__ import annotations

import sqlalchemy as sa

from modelscan.state.server.tables import COUNTER, METADATA

# Compared byte by byte: a word's prefix is then a range of an index in both databases.
WORD = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

# ``body`` is the model as it is answered (JSON), next to the columns that are searched.
# ``min_vram_bytes`` is the least of its versions that are not deprecated; ``last_number`` that of
# the newest version that there ever was.
MODELS = sa.Table(
    "registry_models",
    METADATA,
    sa.Column("slug", WORD, primary_key=True),
    sa.Column("family", sa.Text),
    sa.Column("license", sa.Text),
    sa.Column("visibility", sa.Text, nullable=False),
    sa.Column("context_tokens", sa.BigInteger),
    sa.Column("min_vram_bytes", sa.BigInteger),
    sa.Column("last_number", sa.Integer, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("registry_models_by_family", "family", "slug"),
    sa.Index("registry_models_by_license", "license", "slug"),
    sa.Index("registry_models_by_update", "updated_at", "slug"),
)

# ``digest`` identifies the content; ``body`` is the version as it is answered (JSON).
VERSIONS = sa.Table(
    "registry_versions",
    METADATA,
    sa.Column("slug", WORD, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("min_vram_bytes", sa.BigInteger),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("etag", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Index("registry_versions_by_digest", "slug", "digest"),
)

# ``active``: the version is not deprecated.
TAGS = sa.Table(
    "registry_tags",
    METADATA,
    sa.Column("slug", WORD, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("tag", sa.Text, primary_key=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("registry_tags_by_tag", "tag", "active", "slug", "number"),
)

ALIASES = sa.Table(
    "registry_aliases",
    METADATA,
    sa.Column("slug", WORD, primary_key=True),
    sa.Column("alias", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

# What models are found by: the words of their texts (``kind`` word) and their modalities.
TERMS = sa.Table(
    "registry_terms",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("value", WORD, primary_key=True),
    sa.Column("slug", WORD, primary_key=True),
    sa.Index("registry_terms_of_model", "slug"),
)

# What happened, in order: written in the transaction of the change. Ids are never used twice.
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("slug", WORD),
    sa.Column("version", sa.Text),
    sa.Column("etag", sa.Text),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("events_of_model", "slug", "id"),
    sqlite_autoincrement=True,
)
