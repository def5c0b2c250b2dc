"""What happened to models: one event and one line of the audit per change, in its transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelscan.core.jsonform import to_json
from modelscan.registry.types import RegistryEvent
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor, record_audit
from modelscan.state.server.database import moment, record_change
from modelscan.state.server.registry_tables import EVENTS

CHANGED = "registry"


def record(
    connection: sa.Connection,
    who: Actor,
    event: str,
    *,
    slug: str | None = None,
    version: str | None = None,
    etag: str | None = None,
    data: Mapping[str, Any] | None = None,
    before: object = None,
    after: object = None,
) -> int:
    """Add an event and a line of the audit, in the caller's writing transaction; returns its id.

    ``event`` is ``thing.verb`` (``model.updated``), ``data`` a JSON value without secrets;
    ``before`` and ``after`` are JSON values of which the audit has digests.
    """
    number = add_event(connection, who, event, slug=slug, version=version, etag=etag, data=data)
    target = "" if slug is None else slug if version is None else f"{slug}@{version}"
    record_audit(connection, who, f"registry.{event}", target, before=before, after=after)
    record_change(connection, CHANGED)
    return number


def add_event(
    connection: sa.Connection,
    who: Actor,
    event: str,
    *,
    slug: str | None = None,
    version: str | None = None,
    etag: str | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    """Add an event alone: of what a gateway observed, which nobody did. Returns its id."""
    row = {
        "at": moment(connection), "actor": who.name[:512], "event": event, "slug": slug,
        "version": version, "etag": etag, "data": to_json(dict(data or {})),
    }  # fmt: skip
    added = connection.execute(sa.insert(EVENTS).values(row)).inserted_primary_key
    assert added is not None
    return int(added[0])


def oldest_event_id(connection: sa.Connection) -> int:
    """The id of the oldest event that is kept; 1: none."""
    return int(connection.execute(sa.select(sa.func.min(EVENTS.c.id))).scalar() or 1)


def last_event_of(
    connection: sa.Connection, names: Collection[str], slug: str
) -> RegistryEvent | None:
    """The newest event with one of these names about a thing; None: there is none."""
    own = (EVENTS.c.slug == slug) & EVENTS.c.event.in_(names)
    query = sa.select(EVENTS).where(own).order_by(EVENTS.c.id.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else _event(row)


def last_event_id(connection: sa.Connection) -> int:
    """The id of the newest event; 0: none."""
    return int(connection.execute(sa.select(sa.func.max(EVENTS.c.id))).scalar() or 0)


def events_after(
    connection: sa.Connection, after: int, *, limit: int, slug: str | None = None
) -> Sequence[RegistryEvent]:
    """Events with higher ids, the oldest first."""
    query = sa.select(EVENTS).where(EVENTS.c.id > after).order_by(EVENTS.c.id).limit(limit)
    if slug is not None:
        query = query.where(EVENTS.c.slug == slug)
    return [_event(row) for row in connection.execute(query).mappings()]


def history(connection: sa.Connection, slug: str, *, limit: int) -> Sequence[RegistryEvent]:
    """What happened to a model, the newest first."""
    query = sa.select(EVENTS).where(EVENTS.c.slug == slug).order_by(EVENTS.c.id.desc())
    return [_event(row) for row in connection.execute(query.limit(limit)).mappings()]


def _event(row: sa.RowMapping) -> RegistryEvent:
    names = ("actor", "event", "slug", "version", "etag", "data")
    return RegistryEvent(row["id"], text_of(row["at"]), *(row[name] for name in names))
