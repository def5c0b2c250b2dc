"""Receipts in the server's database: written in batches, bounded by age and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

KEEP_S = 30 * 86_400.0
KEEP_BYTES = 1 * GIB
CONTENTS_KEEP_S = 7 * 86_400.0
DELETED_AT_ONCE = 20_000
_PAGE = 1_000
_RECENT, _RECENT_S = 2_000, 3_600.0
_COLUMNS = tuple(one.name for one in RECEIPTS.columns if one.name not in ("id", "body"))
_NAMES = (*_COLUMNS, "body")
_INSERT = sa.insert(RECEIPTS)
_ROW_BYTES = 160  # of the columns next to the body, and what a database adds
_SAMPLE = 1000
_values = attrgetter(*_COLUMNS)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Receipt).decode


@dataclass(frozen=True, slots=True)
class ReceiptFilter:
    """Which receipts are read; None: all. ``since`` is a UNIX time; ``route``: also a role."""

    since: float | None = None
    route: str | None = None
    status: int | None = None


EVERY = ReceiptFilter()


class ReceiptStore:
    """Writes and reads receipts."""

    def __init__(
        self,
        database: ServerDatabase,
        keep_s: float = KEEP_S,
        keep_bytes: int = KEEP_BYTES,
        contents_keep_s: float = CONTENTS_KEEP_S,
    ) -> None:
        self._database = database
        self.keep_s, self.keep_bytes = keep_s, keep_bytes
        self.contents_keep_s = contents_keep_s

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
        """Delete receipts that are too old, and the oldest while there are too many bytes.

        At most ``DELETED_AT_ONCE`` of the oldest; returns the number of deleted ones. Kept texts
        and hourly sums go by their own age.
        """
        with self._database.writing() as connection:
            oldest = sa.select(RECEIPTS.c.id).order_by(RECEIPTS.c.id).limit(DELETED_AT_ONCE)
            delete = sa.delete(RECEIPTS).where(RECEIPTS.c.id.in_(oldest.scalar_subquery()))
            if used_bytes(connection) <= self.keep_bytes:
                delete = delete.where(RECEIPTS.c.at < now - self.keep_s)
            delete_contents(connection, now - self.contents_keep_s)
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
                    .limit(DELETED_AT_ONCE)
                )
                chosen = RECEIPTS.c.id.in_(old.scalar_subquery())
                count = connection.execute(sa.delete(RECEIPTS).where(chosen)).rowcount
            deleted += count
            if count < DELETED_AT_ONCE:
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
            last = _last_id(connection)
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

    def recent(self, now: float) -> list[Receipt]:
        """The last requests, not older than an hour, the oldest first: how fast backends are."""
        return self.newest(_RECENT, ReceiptFilter(since=now - _RECENT_S))[::-1]

    def find(self, trace_id: str) -> Receipt | None:
        """The receipt with that id."""
        query = sa.select(RECEIPTS.c.body).where(RECEIPTS.c.trace_id == trace_id)
        with self._database.reading() as connection:
            body = connection.execute(query).scalars().first()
        return None if body is None else _decode(body)

    def find_all(self, trace_ids: Iterable[str]) -> dict[str, Receipt]:
        """The receipts with these ids, by id."""
        wanted = list(trace_ids)
        found: dict[str, Receipt] = {}
        with self._database.reading() as connection:
            for at in range(0, len(wanted), _PAGE):
                some = RECEIPTS.c.trace_id.in_(wanted[at : at + _PAGE])
                rows = connection.execute(sa.select(RECEIPTS.c.body).where(some)).scalars()
                found |= {one.trace_id: one for one in map(_decode, rows)}
        return found

    def count(self) -> int:
        """How many receipts are stored."""
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(sa.func.count(RECEIPTS.c.id))).scalar() or 0)

    def used_bytes(self) -> int:
        """Bytes of the receipts."""
        with self._database.reading() as connection:
            return used_bytes(connection)


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


def _insert(connection: sa.Connection, receipts: Sequence[Receipt]) -> range:
    """Insert the rows; returns a range that contains their ids, and no others of one writer."""
    rows = [(*_values(receipt), _encode(receipt)) for receipt in receipts]
    before = _last_id(connection)
    # Compiled once per batch: for each row, execute() would cost more than the driver.
    insert = _INSERT.compile(dialect=connection.dialect, column_keys=_NAMES)
    connection.exec_driver_sql(str(insert), rows)
    return range(before + 1, _last_id(connection) + 1)


def _last_id(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(RECEIPTS.c.id))).scalar() or 0)


def used_bytes(connection: sa.Connection) -> int:
    """Bytes of the receipts, from their number and the size of the newest ones.

    The size of the file would not do: deleted rows leave it as large as it was.
    """
    first, last = connection.execute(
        sa.select(sa.func.min(RECEIPTS.c.id), sa.func.max(RECEIPTS.c.id))
    ).one()
    if first is None:
        return 0
    length = sa.func.length(RECEIPTS.c.body)
    newest = sa.select(sa.func.avg(length)).where(RECEIPTS.c.id > last - _SAMPLE)
    mean = float(connection.execute(newest).scalar() or 0)
    return int((last - first + 1) * (mean + _ROW_BYTES))
