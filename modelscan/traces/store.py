"""Receipts in the server's database: written in batches, bounded by age and size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.core.units import GIB
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.tables import RECEIPTS
from modelscan.state.server.usage import count_usage

KEEP_S = 30 * 86_400.0
KEEP_BYTES = 1 * GIB
_DELETED_AT_ONCE = 20_000
_NAMES = tuple(field.name for field in fields(Receipt))
_INSERT = (
    f"INSERT INTO receipts ({', '.join(_NAMES)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * len(_NAMES))})"
)


@dataclass(frozen=True, slots=True)
class ReceiptFilter:
    """Which receipts are read; None: all. ``since`` is a UNIX time; ``route``: also a role."""

    since: float | None = None
    route: str | None = None
    status: int | None = None


EVERY = ReceiptFilter()


class ReceiptStore:
    """Writes and reads receipts."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database

    def write(self, receipts: Sequence[Receipt]) -> None:
        """Store a batch and count its tokens for the keys, in one transaction.

        Raises ModelscanError where the disk is full or the file is unusable.
        """
        rows = [_values(receipt) for receipt in receipts]
        with self._database.writing() as connection:
            connection.exec_driver_sql(_INSERT, rows)
            count_usage(connection, receipts)

    def prune(self, now: float) -> int:
        """Delete receipts older than 30 days, and the oldest while there is more than 1 GiB.

        Returns the number of deleted ones.
        """
        with self._database.writing() as connection:
            old = sa.delete(RECEIPTS).where(RECEIPTS.c.at < now - KEEP_S)
            deleted = connection.execute(old).rowcount
            if _used_bytes(connection) > KEEP_BYTES:
                newest_first = sa.select(RECEIPTS.c.id).order_by(RECEIPTS.c.id)
                some = newest_first.limit(_DELETED_AT_ONCE).scalar_subquery()
                deleted += connection.execute(
                    sa.delete(RECEIPTS).where(RECEIPTS.c.id.in_(some))
                ).rowcount
        return deleted

    def newest(self, limit: int, only: ReceiptFilter = EVERY) -> list[Receipt]:
        """The newest receipts first."""
        query = sa.select(RECEIPTS).order_by(RECEIPTS.c.id.desc()).limit(limit)
        if only.since is not None:
            query = query.where(RECEIPTS.c.at >= only.since)
        if only.route is not None:
            names = (RECEIPTS.c.route, RECEIPTS.c.role, RECEIPTS.c.requested_model)
            query = query.where(sa.or_(*(column == only.route for column in names)))
        if only.status is not None:
            query = query.where(RECEIPTS.c.status == only.status)
        with self._database.reading() as connection:
            return [_receipt(row) for row in connection.execute(query).mappings()]

    def find(self, trace_id: str) -> Receipt | None:
        """The receipt with that id."""
        query = sa.select(RECEIPTS).where(RECEIPTS.c.trace_id == trace_id)
        with self._database.reading() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _receipt(row)


def _values(receipt: Receipt) -> tuple[Any, ...]:
    values = {name: getattr(receipt, name) for name in _NAMES}
    values["reasons"] = json.dumps(list(receipt.reasons))
    return tuple(values.values())


def _receipt(row: Any) -> Receipt:
    values = {name: row[name] for name in _NAMES}
    values["reasons"] = tuple(values["reasons"])
    return Receipt(**values)


def _used_bytes(connection: sa.Connection) -> int:
    """Bytes of the file's pages that contain data."""
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
