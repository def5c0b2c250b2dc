"""Hourly sums that are some days old become sums per day: a tenth of the rows to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from modelscan.state.server.adding import add_rows
from modelscan.state.server.tables import ROLLUPS, SERVER_VALUES

HOUR_S = 3600
DAY_HOURS = 24
KEPT_BY_HOUR = 72
"""Sums of the last so many hours stay hourly."""
IDS = ("first_id", "last_id")
_MERGED = "sums_merged"
_KEY = tuple(column.name for column in ROLLUPS.primary_key)
_SUMS = tuple(column.name for column in ROLLUPS.columns if column.name not in (*_KEY, *IDS))


def merged_before(connection: sa.Connection) -> int:
    """The hour (of UNIX time) before which there is one row per day; 0: none is merged."""
    query = sa.select(SERVER_VALUES.c.value).where(SERVER_VALUES.c.name == _MERGED)
    value = connection.execute(query).scalar()
    return 0 if value is None else int(bytes(value))


def start_hour(connection: sa.Connection, since: float) -> int:
    """The hour with which sums from a UNIX time on begin: of a merged day its first one."""
    hour = int(since // HOUR_S)
    return hour if hour >= merged_before(connection) else hour // DAY_HOURS * DAY_HOURS


def merge_days(connection: sa.Connection, now: float, most: int = 4) -> int:
    """Merge up to ``most`` days in the caller's transaction, the oldest first; returns how many.

    Of this machine's models the seconds of a merged day are those in which at least one can have
    been at work, at most 3,600 per hour: what costs are computed from.
    """
    before = merged_before(connection)
    end = (int(now // HOUR_S) - KEPT_BY_HOUR) // DAY_HOURS * DAY_HOURS
    count, reached = 0, before
    while count < most and (day := _next_day(connection, reached)) is not None and day < end:
        _merge(connection, day)
        count, reached = count + 1, day + DAY_HOURS
    if reached > before:
        _set_merged(connection, reached)
    return count


def _next_day(connection: sa.Connection, hour: int) -> int | None:
    query = sa.select(sa.func.min(ROLLUPS.c.hour)).where(ROLLUPS.c.hour >= hour)
    first = connection.execute(query).scalar()
    return None if first is None else int(first) // DAY_HOURS * DAY_HOURS


def _merge(connection: sa.Connection, day: int) -> None:
    inside = ROLLUPS.c.hour.between(day, day + DAY_HOURS - 1)
    # Locked where the database can: what another gateway has merged meanwhile is not there again.
    query = sa.select(ROLLUPS).where(inside).with_for_update()
    rows = connection.execute(query).mappings().all()
    connection.execute(sa.delete(ROLLUPS).where(inside))
    add_rows(connection, ROLLUPS, _summed(rows, day), least=IDS[:1], most=IDS[1:])


def _summed(rows: Iterable[sa.RowMapping], day: int) -> list[dict[str, Any]]:
    kept = list(rows)
    local: defaultdict[int, float] = defaultdict(float)
    for row in kept:
        if row["tier"] == "local":
            local[row["hour"]] += row["duration_s"]
    days: dict[tuple[object, ...], dict[str, Any]] = {}
    for row in kept:
        values = dict(row)
        if row["tier"] == "local" and local[row["hour"]] > HOUR_S:
            values["duration_s"] *= HOUR_S / local[row["hour"]]
        values["hour"] = day
        known = days.setdefault(tuple(values[name] for name in _KEY), values)
        if known is not values:
            for name in _SUMS:
                known[name] += values[name]
            known["first_id"] = min(known["first_id"], values["first_id"])
            known["last_id"] = max(known["last_id"], values["last_id"])
    return list(days.values())


def _set_merged(connection: sa.Connection, hour: int) -> None:
    value = str(hour).encode()
    own = SERVER_VALUES.c.name == _MERGED
    if not connection.execute(sa.update(SERVER_VALUES).where(own).values(value=value)).rowcount:
        connection.execute(sa.insert(SERVER_VALUES).values(name=_MERGED, value=value))
