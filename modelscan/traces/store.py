"""Receipts in the server's database: written in batches, bounded by age and size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.core.units import GIB
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.tables import RECEIPTS
from modelscan.state.server.usage import count_usage
from modelscan.traces.contents import delete_contents
from modelscan.traces.rollups import HOUR_S, KEEP_HOURS, add_sums, delete_sums, id_ranges

DAY_S = 86_400.0
_PAGE = 1_000
AT_ONCE = 20_000
"""Rows that one transaction deletes at most."""
_COLUMNS = tuple(one.name for one in RECEIPTS.columns if one.name not in ("id", "body"))
_INSERT = (
    f"INSERT INTO receipts ({', '.join(_COLUMNS)}, body) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * (len(_COLUMNS) + 1))})"
)
_values = attrgetter(*_COLUMNS)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode


@dataclass(frozen=True, slots=True)
class ReceiptFilter:
    """Which receipts are read; None: all. ``since`` is a UNIX time; ``route``: also a role."""

    since: float | None = None
    route: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long receipts and kept texts stay: seconds; and the bytes of the whole database."""

    receipts_s: float = 30 * DAY_S
    receipts_bytes: int = 1 * GIB
    contents_s: float = 7 * DAY_S


EVERY = ReceiptFilter()


class ReceiptStore:
    """Writes and reads receipts."""

    def __init__(self, database: ServerDatabase, keep: Retention | None = None) -> None:
        self._database = database
        self.keep = keep or Retention()

    def write(self, receipts: Sequence[Receipt], recorded: bool = True) -> None:
        """Store a batch and count its tokens for the keys, in one transaction.

        ``recorded`` False: only the tokens are counted, which budgets need. Raises ModelscanError
        where the disk is full or the file is unusable.
        """
        with self._database.writing() as connection:
            if recorded:
                add_sums(connection, receipts, _insert(connection, receipts))
            count_usage(connection, receipts)

    def prune(self, now: float) -> int:
        """Delete what is older than ``keep`` says, and the oldest while the file is too large.

        At most 20,000 of the oldest receipts at a time; returns the number of deleted ones.
        """
        with self._database.writing() as connection:
            oldest = sa.select(RECEIPTS.c.id).order_by(RECEIPTS.c.id).limit(AT_ONCE)
            delete = sa.delete(RECEIPTS).where(RECEIPTS.c.id.in_(oldest.scalar_subquery()))
            if _used_bytes(connection) <= self.keep.receipts_bytes:
                delete = delete.where(RECEIPTS.c.at < now - self.keep.receipts_s)
            delete_contents(connection, now - self.keep.contents_s)
            delete_sums(connection, now - KEEP_HOURS * HOUR_S)
            return connection.execute(delete).rowcount

    def delete_before(self, moment: float) -> int:
        """Delete the receipts that are older than a UNIX time, in batches; returns how many."""
        deleted = 0
        while True:
            with self._database.writing() as connection:
                old = (
                    sa.select(RECEIPTS.c.id)
                    .where(RECEIPTS.c.at < moment)
                    .order_by(RECEIPTS.c.id)
                    .limit(AT_ONCE)
                )
                chosen = RECEIPTS.c.id.in_(old.scalar_subquery())
                count = connection.execute(sa.delete(RECEIPTS).where(chosen)).rowcount
            deleted += count
            if count < AT_ONCE:
                return deleted

    def newest(self, limit: int, only: ReceiptFilter = EVERY) -> list[Receipt]:
        """The newest receipts first."""
        found: list[Receipt] = []
        with self._database.reading() as connection:
            for low, high in _ranges(connection, only):
                if len(found) >= limit:
                    break
                query = _matching(only).where(RECEIPTS.c.id.between(low, high))
                rows = connection.execute(query.limit(limit - len(found))).scalars()
                found += [_decode(body) for body in rows]
        return found

    def each(self, only: ReceiptFilter = EVERY) -> Iterator[Receipt]:
        """All such receipts, the oldest first; what is written meanwhile is left out."""
        with self._database.reading() as connection:
            ranges = _ranges(connection, only)
            last = int(connection.execute(sa.select(sa.func.max(RECEIPTS.c.id))).scalar() or 0)
        for low, high in reversed(ranges):
            yield from self._between(low, min(high, last), only)

    def _between(self, low: int, high: int, only: ReceiptFilter) -> Iterator[Receipt]:
        """In pages, so that no connection is kept while the caller works."""
        query = _matching(only).add_columns(RECEIPTS.c.id).order_by(None).order_by(RECEIPTS.c.id)
        while low <= high:
            page = query.where(RECEIPTS.c.id.between(low, high)).limit(_PAGE)
            with self._database.reading() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            yield from (_decode(row.body) for row in rows)
            low = rows[-1].id + 1

    def find(self, trace_id: str) -> Receipt | None:
        """The receipt with that id."""
        query = sa.select(RECEIPTS.c.body).where(RECEIPTS.c.trace_id == trace_id)
        with self._database.reading() as connection:
            body = connection.execute(query).scalars().first()
        return None if body is None else _decode(body)

    def count(self) -> int:
        """How many receipts are stored."""
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count(RECEIPTS.c.id))).scalar() or 0)

    def used_bytes(self) -> int:
        """Bytes of the database's file that contain data."""
        with self._database.reading() as connection:
            return _used_bytes(connection)


def _ranges(connection: sa.Connection, only: ReceiptFilter) -> list[tuple[int, int]]:
    if only == EVERY:
        return [(0, 2**62)]
    return id_ranges(connection, only.since, only.route, only.status)


def _matching(only: ReceiptFilter) -> sa.Select[Any]:
    query = sa.select(RECEIPTS.c.body).order_by(RECEIPTS.c.id.desc())
    if only.since is not None:
        query = query.where(RECEIPTS.c.at >= only.since)
    if only.route is not None:
        query = query.where((RECEIPTS.c.route == only.route) | (RECEIPTS.c.role == only.route))
    if only.status is not None:
        query = query.where(RECEIPTS.c.status == only.status)
    return query


def _insert(connection: sa.Connection, receipts: Sequence[Receipt]) -> Sequence[int] | range:
    """Insert the rows; returns their ids. SQLite has one writer, and its ids are consecutive."""
    rows = [(*_values(receipt), _encode(receipt)) for receipt in receipts]
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(_INSERT, rows)
        last = int(connection.execute(sa.select(sa.func.max(RECEIPTS.c.id))).scalar() or 0)
        return range(last - len(rows) + 1, last + 1)
    insert = sa.insert(RECEIPTS).returning(RECEIPTS.c.id, sort_by_parameter_order=True)
    values = [dict(zip((*_COLUMNS, "body"), row, strict=True)) for row in rows]
    return list(connection.execute(insert, values).scalars())


def _used_bytes(connection: sa.Connection) -> int:
    """Bytes of the file's pages that contain data."""
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
