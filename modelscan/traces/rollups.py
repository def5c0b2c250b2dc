"""Sums of receipts per hour: what ``trace cost`` reads, and where a route's receipts are."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.state.server.adding import add_rows
from modelscan.state.server.tables import ROLLUPS
from modelscan.traces.rollup_days import HOUR_S, IDS, merged_before, start_hour

KEEP_HOURS = 400 * 24
_GAP = 500
# Above so many input tokens providers have other prices; ``band`` is the last one that is exceeded.
BANDS = (0, 32_000, 128_000, 200_000, 256_000, 272_000, 512_000)
_KEY = ("hour", "route", "role", "backend", "host", "served_model", "tier", "status", "band")
_SUMS = (
    "requests", "unknown_usage", "input_tokens", "output_tokens", "cached_tokens",
    "reasoning_tokens", "left_bytes", "duration_s",
)  # fmt: skip


class UsageSums(NamedTuple):
    """Requests of one kind. ``errors``: those with a status from 400 on; ``unknown_usage``: those
    without counts of tokens; ``duration_s``: the sum of their times, without waiting."""

    route: str
    role: str
    backend: str
    host: str
    served_model: str
    tier: str
    band: int
    errors: int
    requests: int
    unknown_usage: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    left_bytes: int
    duration_s: float


class BusyTime(NamedTuple):
    """Of this machine's models: the sum of the requests' seconds, and those in which at least one
    can have been at work, at most 3,600 per hour."""

    requests_s: float
    busy_s: float


def band_of(input_tokens: int | None) -> int:
    """The largest bound that a number of input tokens exceeds."""
    return BANDS[max(0, bisect.bisect_left(BANDS, input_tokens or 0) - 1)]


def add_sums(
    connection: sa.Connection, receipts: Sequence[Receipt], ids: range
) -> None:  # fmt: skip
    """Add receipts, in the caller's transaction. ``ids`` contains the ids of their rows; where it
    is longer, other writers have some of them."""
    exact = len(ids) == len(receipts)
    groups: dict[tuple[object, ...], list[float]] = {}
    for receipt, number in zip(receipts, ids, strict=False):
        key = _key(receipt)
        row = groups.get(key)
        if row is None:
            first, last = (number, number) if exact else (ids[0], ids[-1])
            groups[key] = row = [0, 0, 0, 0, 0, 0, 0, 0.0, first, last]
        _count(row, receipt)
        if exact:
            row[9] = number
    rows = [
        {**dict(zip(_KEY, key, strict=True)), **dict(zip((*_SUMS, *IDS), row, strict=True))}
        for key, row in groups.items()
    ]
    add_rows(connection, ROLLUPS, rows, least=("first_id",), most=("last_id",))


def _key(receipt: Receipt) -> tuple[object, ...]:
    return (
        int(receipt.at // HOUR_S), receipt.route or "", receipt.role or "", receipt.backend or "",
        receipt.host or "", receipt.served_model or "", receipt.tier or "", receipt.status,
        band_of(receipt.input_tokens),
    )  # fmt: skip


def _count(row: list[float], receipt: Receipt) -> None:
    into, out = receipt.input_tokens, receipt.output_tokens
    row[0] += 1
    if receipt.backend is not None and _used_unknown(receipt):
        row[1] += 1
    row[2] += into or 0
    row[3] += out or 0
    row[4] += receipt.cached_tokens or 0
    row[5] += receipt.reasoning_tokens or 0
    row[6] += receipt.left_machine_bytes
    row[7] += (receipt.duration_s or 0.0) - (receipt.queue_s or 0.0)


def _used_unknown(receipt: Receipt) -> bool:
    """Whether tokens were used that no server counted; a refused request uses none."""
    if receipt.status >= 400 and receipt.status not in _BROKEN:
        return False
    out = receipt.output_tokens is None and receipt.operation not in _WITHOUT_OUTPUT
    return receipt.input_tokens is None or out


_BROKEN = frozenset((499, 599))  # the client left, or the answer broke off
_WITHOUT_OUTPUT = frozenset(("embeddings", "rerank"))


def read_sums(connection: sa.Connection, since: float | None = None) -> list[UsageSums]:
    """The sums over the hours from ``since`` (a UNIX time) on; of merged days, over whole days."""
    columns = ROLLUPS.c
    key = [columns[name] for name in _KEY if name not in ("hour", "status")]
    errors = sa.func.sum(sa.case((columns.status >= 400, columns.requests), else_=0))
    sums = [sa.func.sum(columns[name]) for name in _SUMS]
    query = sa.select(*key, errors, *sums).group_by(*key).order_by(*key)
    query = _since(connection, query, since)
    rows = ((*row[:7], *map(int, row[7:-1]), float(row[-1])) for row in connection.execute(query))
    return [UsageSums._make(row) for row in rows]


def busy_time(connection: sa.Connection, since: float | None = None) -> BusyTime:
    """How long this machine's models worked; of merged days the rows have the busy part."""
    hour, seconds = ROLLUPS.c.hour, sa.func.sum(ROLLUPS.c.duration_s)
    query = sa.select(hour, seconds).where(ROLLUPS.c.tier == "local").group_by(hour)
    found = connection.execute(_since(connection, query, since)).all()
    hours = [(int(one), float(value)) for one, value in found]
    by_day = merged_before(connection)
    busy = (value if one < by_day else min(value, float(HOUR_S)) for one, value in hours)
    return BusyTime(sum(value for _, value in hours), sum(busy))


def _since(connection: sa.Connection, query: sa.Select[Any], since: float | None) -> sa.Select[Any]:
    if since is None:
        return query
    return query.where(ROLLUPS.c.hour >= start_hour(connection, since))


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
    query: sa.Select[Any] = sa.select(columns.first_id, columns.last_id)
    query = _since(connection, query, since)
    if route is not None:
        query = query.where((columns.route == route) | (columns.role == route))
    if status is not None:
        query = query.where(columns.status == status)
    ranges = merged((int(low), int(high)) for low, high in connection.execute(query))
    first = connection.execute(sa.select(sa.func.min(columns.first_id))).scalar()
    older = 2**62 if first is None else int(first) - 1
    return [*ranges, (0, older)]


def merged(ranges: Iterable[Ids], gap: int = _GAP) -> list[Ids]:
    """Ranges with all these ids that do not overlap, the highest first; those with fewer than
    ``gap`` ids between them are one: a further query costs more than so many rows."""
    result: list[Ids] = []
    for low, high in sorted(ranges, key=lambda one: -one[1]):
        if result and high >= result[-1][0] - 1 - gap:
            result[-1] = (min(low, result[-1][0]), result[-1][1])
        else:
            result.append((low, high))
    return result
