"""Sums of receipts per hour: what ``trace cost`` reads, and where a route's receipts are."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.state.server.tables import ROLLUPS

HOUR_S = 3600
KEEP_HOURS = 400 * 24
# Above so many input tokens providers have other prices; ``band`` is the last one that is exceeded.
BANDS = (0, 32_000, 128_000, 200_000, 256_000, 272_000, 512_000)
_KEY = ("hour", "route", "role", "backend", "host", "served_model", "tier", "status", "band")
_SUMS = (
    "requests", "unknown_usage", "input_tokens", "output_tokens", "cached_tokens",
    "reasoning_tokens", "left_bytes", "duration_s",
)  # fmt: skip


class UsageSums(NamedTuple):
    """One row: requests of one kind in one hour. ``unknown_usage``: requests without counts."""

    hour: int
    route: str
    role: str
    backend: str
    host: str
    served_model: str
    tier: str
    status: int
    band: int
    requests: int
    unknown_usage: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    left_bytes: int
    duration_s: float


def band_of(input_tokens: int | None) -> int:
    """The largest bound that a number of input tokens exceeds."""
    return BANDS[max(0, bisect.bisect_left(BANDS, input_tokens or 0) - 1)]


def add_sums(
    connection: sa.Connection, receipts: Sequence[Receipt], ids: Sequence[int] | range
) -> None:
    """Add receipts, with the ids of their rows, in the caller's transaction."""
    groups: dict[tuple[object, ...], list[float]] = {}
    for receipt, number in zip(receipts, ids, strict=True):
        key = _key(receipt)
        row = groups.get(key)
        if row is None:
            groups[key] = row = [0, 0, 0, 0, 0, 0, 0, 0.0, number, number]
        _count(row, receipt, number)
    for key, row in groups.items():
        _add(connection, dict(zip(_KEY, key, strict=True)), row)


def _key(receipt: Receipt) -> tuple[object, ...]:
    return (
        int(receipt.at // HOUR_S), receipt.route or "", receipt.role or "", receipt.backend or "",
        receipt.host or "", receipt.served_model or "", receipt.tier or "", receipt.status,
        band_of(receipt.input_tokens),
    )  # fmt: skip


def _count(row: list[float], receipt: Receipt, number: int) -> None:
    into, out = receipt.input_tokens, receipt.output_tokens
    row[0] += 1
    if into is None or (out is None and receipt.operation not in _WITHOUT_OUTPUT):
        row[1] += 1
    row[2] += into or 0
    row[3] += out or 0
    row[4] += receipt.cached_tokens or 0
    row[5] += receipt.reasoning_tokens or 0
    row[6] += receipt.left_machine_bytes
    row[7] += (receipt.duration_s or 0.0) - (receipt.queue_s or 0.0)
    row[8] = min(row[8], number)
    row[9] = max(row[9], number)


_WITHOUT_OUTPUT = frozenset(("embeddings", "rerank"))


def _add(connection: sa.Connection, key: dict[str, object], row: list[float]) -> None:
    columns = ROLLUPS.c
    where = sa.and_(*(columns[name] == value for name, value in key.items()))
    more = {name: columns[name] + value for name, value in zip(_SUMS, row, strict=False)}
    first, last = int(row[8]), int(row[9])
    more["first_id"] = sa.case((columns.first_id > first, first), else_=columns.first_id)
    more["last_id"] = sa.case((columns.last_id < last, last), else_=columns.last_id)
    if not connection.execute(sa.update(ROLLUPS).where(where).values(more)).rowcount:
        sums = dict(zip(_SUMS, row, strict=False))
        values = {**key, **sums, "first_id": first, "last_id": last}
        connection.execute(sa.insert(ROLLUPS).values(values))


def read_sums(connection: sa.Connection, since: float | None = None) -> list[UsageSums]:
    """The rows of the hours from ``since`` (a UNIX time) on, the oldest first."""
    query = sa.select(*(ROLLUPS.c[name] for name in (*_KEY, *_SUMS))).order_by(ROLLUPS.c.hour)
    if since is not None:
        query = query.where(ROLLUPS.c.hour >= int(since // HOUR_S))
    return [UsageSums(*row) for row in connection.execute(query)]


def delete_sums(connection: sa.Connection, before: float) -> int:
    """Delete the hours that ended before a UNIX time; returns the number of rows."""
    old = ROLLUPS.c.hour < int(before // HOUR_S)
    return connection.execute(sa.delete(ROLLUPS).where(old)).rowcount


Ids = tuple[int, int]


def id_ranges(
    connection: sa.Connection, since: float | None, route: str | None, status: int | None
) -> list[Ids]:
    """Between which ids such receipts are, the newest first; receipts without a sum come last."""
    columns = ROLLUPS.c
    query = sa.select(columns.first_id, columns.last_id)
    if since is not None:
        query = query.where(columns.hour >= int(since // HOUR_S))
    if route is not None:
        query = query.where((columns.route == route) | (columns.role == route))
    if status is not None:
        query = query.where(columns.status == status)
    ranges = merged((int(low), int(high)) for low, high in connection.execute(query))
    first = connection.execute(sa.select(sa.func.min(columns.first_id))).scalar()
    older = 2**62 if first is None else int(first) - 1
    return [*ranges, (0, older)]


def merged(ranges: Iterable[Ids]) -> list[Ids]:
    """The same ids as ranges that do not overlap, the highest first."""
    result: list[Ids] = []
    for low, high in sorted(ranges, key=lambda one: -one[1]):
        if result and high >= result[-1][0] - 1:
            result[-1] = (min(low, result[-1][0]), result[-1][1])
        else:
            result.append((low, high))
    return result
