"""Receipts in the server's database: written in batches, bounded by age and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec
import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.core.units import GIB
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.tables import RECEIPTS
from modelscan.state.server.usage import count_usage

KEEP_S = 30 * 86_400.0
KEEP_BYTES = 1 * GIB
DELETED_AT_ONCE = 20_000
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
        self, database: ServerDatabase, keep_s: float = KEEP_S, keep_bytes: int = KEEP_BYTES
    ) -> None:
        self._database = database
        self._keep_s, self._keep_bytes = keep_s, keep_bytes

    def write(self, receipts: Sequence[Receipt]) -> None:
        """Store a batch and count its tokens for the keys, in one transaction.

        Raises ModelscanError where the disk is full or the file is unusable.
        """
        rows = [(*_values(receipt), _encode(receipt)) for receipt in receipts]
        with self._database.writing() as connection:
            # Compiled once per batch: for each row, execute() would cost more than the driver.
            insert = _INSERT.compile(dialect=connection.dialect, column_keys=_NAMES)
            connection.exec_driver_sql(str(insert), rows)
            count_usage(connection, receipts)

    def prune(self, now: float) -> int:
        """Delete receipts that are too old, and the oldest while there are too many bytes.

        At most ``DELETED_AT_ONCE`` of the oldest; returns the number of deleted ones.
        """
        with self._database.writing() as connection:
            oldest = sa.select(RECEIPTS.c.id).order_by(RECEIPTS.c.id).limit(DELETED_AT_ONCE)
            delete = sa.delete(RECEIPTS).where(RECEIPTS.c.id.in_(oldest.scalar_subquery()))
            if used_bytes(connection) <= self._keep_bytes:
                delete = delete.where(RECEIPTS.c.at < now - self._keep_s)
            return connection.execute(delete).rowcount

    def newest(self, limit: int, only: ReceiptFilter = EVERY) -> list[Receipt]:
        """The newest receipts first."""
        query = sa.select(RECEIPTS.c.body).order_by(RECEIPTS.c.id.desc()).limit(limit)
        if only.since is not None:
            query = query.where(RECEIPTS.c.at >= only.since)
        if only.route is not None:
            query = query.where((RECEIPTS.c.route == only.route) | (RECEIPTS.c.role == only.route))
        if only.status is not None:
            query = query.where(RECEIPTS.c.status == only.status)
        with self._database.reading() as connection:
            return [_decode(body) for body in connection.execute(query).scalars()]

    def recent(self, now: float) -> list[Receipt]:
        """The last requests, not older than an hour, the oldest first: how fast backends are."""
        return self.newest(_RECENT, ReceiptFilter(since=now - _RECENT_S))[::-1]

    def find(self, trace_id: str) -> Receipt | None:
        """The receipt with that id."""
        query = sa.select(RECEIPTS.c.body).where(RECEIPTS.c.trace_id == trace_id)
        with self._database.reading() as connection:
            body = connection.execute(query).scalars().first()
        return None if body is None else _decode(body)


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
