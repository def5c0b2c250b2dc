"""Models found by tags, license, family, modality, memory, context and words: page by page.

The conditions are the same expressions for SQLite and PostgreSQL, each answered by an index.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from modelscan.registry.refused import RegistryRefused
from modelscan.registry.stored import model_of, words_of
from modelscan.registry.types import ModelOrder, RegistryFilter, RegistryPage
from modelscan.state.server.registry_tables import MODELS, TAGS, TERMS, VERSIONS

USUAL_PAGE, MOST_PAGE = 50, 500
_MOST_TAGS, _MOST_WORDS = 16, 16
_LAST = "\U0010ffff"
Condition = sa.ColumnElement[bool]
StoredModelRow = sa.Row[Any]


def search_models(
    connection: sa.Connection,
    wanted: RegistryFilter,
    *,
    limit: int = USUAL_PAGE,
    cursor: str | None = None,
    order: ModelOrder = "slug",
) -> RegistryPage:
    """One page of the models that fit. Raises RegistryRefused (invalid) for a wrong cursor."""
    rows = model_rows(connection, wanted, limit=limit, cursor=cursor, order=order)
    items = tuple(model_of(row.body, row.etag) for row in rows[:limit])
    return RegistryPage(items, next_cursor(rows, limit, order))


def model_rows(
    connection: sa.Connection,
    wanted: RegistryFilter,
    *,
    limit: int = USUAL_PAGE,
    cursor: str | None = None,
    order: ModelOrder = "slug",
) -> list[StoredModelRow]:
    """The rows of a page (slug, body, etag, times) and, if there is one, the one after it."""
    columns = MODELS.c.slug, MODELS.c.body, MODELS.c.etag, MODELS.c.updated_at, MODELS.c.created_at
    query = sa.select(*columns).where(*_conditions(wanted))
    if order == "slug":
        query = query.order_by(MODELS.c.slug)
        if cursor is not None:
            query = query.where(MODELS.c.slug > _read_cursor(cursor, order)[1])
    else:
        column = MODELS.c.updated_at if order == "updated" else MODELS.c.created_at
        query = query.order_by(column.desc(), MODELS.c.slug)
        if cursor is not None:
            at, slug = _read_cursor(cursor, order)
            query = query.where((column < at) | ((column == at) & (MODELS.c.slug > slug)))
    return [*connection.execute(query.limit(limit + 1))]


def next_cursor(rows: list[StoredModelRow], limit: int, order: ModelOrder) -> str | None:
    """The cursor of the page after these rows; None: it is the last one."""
    if len(rows) <= limit:
        return None
    last = rows[limit - 1]
    at = {"slug": 0.0, "updated": last.updated_at, "created": last.created_at}[order]
    return base64.urlsafe_b64encode(msgspec.json.encode([order, at, last.slug])).decode()


def count_models(connection: sa.Connection, wanted: RegistryFilter) -> int:
    """How many models fit."""
    query = sa.select(sa.func.count()).select_from(MODELS).where(*_conditions(wanted))
    return int(connection.execute(query).scalar_one())


def slugs_beginning(connection: sa.Connection, prefix: str, limit: int) -> list[str]:
    """The first slugs that begin with a text."""
    query = sa.select(MODELS.c.slug).where(*_range(MODELS.c.slug, prefix))
    return [*connection.execute(query.order_by(MODELS.c.slug).limit(limit)).scalars()]


def _read_cursor(text: str, order: ModelOrder) -> tuple[float, str]:
    try:
        plain = base64.urlsafe_b64decode(text.encode())
        kind, at, slug = msgspec.json.decode(plain, type=tuple[str, float, str])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        kind, at, slug = "", 0.0, ""
    if kind != order:
        raise RegistryRefused(
            "invalid", "the cursor is not one of this list", hint="leave the cursor out"
        )
    return at, slug


def _conditions(wanted: RegistryFilter) -> list[Condition]:
    """Comparisons with NULL are never true: what is unknown fits no bound."""
    columns = MODELS.c
    found: list[Condition] = []
    if wanted.license is not None:
        found.append(columns.license == wanted.license)
    if wanted.family is not None:
        found.append(columns.family == wanted.family)
    if wanted.visibility is not None:
        found.append(columns.visibility == wanted.visibility)
    if wanted.min_context_tokens is not None:
        found.append(columns.context_tokens >= wanted.min_context_tokens)
    if wanted.owner is not None:
        found += _range(columns.slug, f"{wanted.owner}/")
    for modality in dict.fromkeys(wanted.modalities):
        found.append(_with_term(TERMS.c.kind == "modality", TERMS.c.value == modality))
    for word in _words(wanted.text):
        found.append(_with_term(TERMS.c.kind == "word", *_range(TERMS.c.value, word)))
    return found + _of_versions(wanted)


def _of_versions(wanted: RegistryFilter) -> list[Condition]:
    """One version has all tags and needs no more memory."""
    tags = list(dict.fromkeys(wanted.tags))
    if len(tags) > _MOST_TAGS:
        raise RegistryRefused("invalid", f"{len(tags)} tags; the most is {_MOST_TAGS}")
    most = wanted.max_vram_bytes
    needed: list[Condition] = [] if most is None else [MODELS.c.min_vram_bytes <= most]
    if not tags:
        return needed
    first = TAGS.alias()
    conditions: list[Condition] = [first.c.tag == tags[0], first.c.active]
    for tag in tags[1:]:
        other = TAGS.alias()
        same = (other.c.slug == first.c.slug) & (other.c.number == first.c.number)
        conditions.append(sa.exists().where(same, other.c.tag == tag))
    if most is not None:
        same = (VERSIONS.c.slug == first.c.slug) & (VERSIONS.c.number == first.c.number)
        conditions.append(sa.exists().where(same, VERSIONS.c.min_vram_bytes <= most))
    return [*needed, MODELS.c.slug.in_(sa.select(first.c.slug).where(*conditions))]


def _with_term(*conditions: Condition) -> Condition:
    return MODELS.c.slug.in_(sa.select(TERMS.c.slug).where(*conditions))


def _range(column: sa.ColumnElement[str], prefix: str) -> list[Condition]:
    """Texts that begin with the prefix, as a range of the index."""
    return [column >= prefix, column < prefix + _LAST]


def _words(text: str | None) -> Iterable[str]:
    return words_of(text or "")[:_MOST_WORDS]
