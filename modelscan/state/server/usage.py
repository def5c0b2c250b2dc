"""The tokens that keys, providers and roles used, per hour: what budgets are counted from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Literal, NamedTuple, get_args

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.state.server.adding import add_rows
from modelscan.state.server.tables import KEYS, USAGE

UserKind = Literal["key", "provider", "role"]
Period = Literal["hour", "day", "month", "total"]
BudgetPeriod = Literal["day", "month", "total"]
PERIODS: tuple[BudgetPeriod, ...] = get_args(BudgetPeriod)
# Characters of ``2026-01-31T09`` that all hours of a period share.
_PREFIX: Mapping[Period, int] = {"hour": 13, "day": 10, "month": 7, "total": 0}


class User(NamedTuple):
    """Who uses tokens."""

    kind: UserKind
    name: str


Used = Mapping[tuple[User, Period], int]


def hour_of(moment: float) -> str:
    """The UTC hour of a UNIX time: ``2026-01-31T09``."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H")


def used_tokens(connection: sa.Connection, moment: float) -> Used:
    """Input and output tokens of everyone in the periods that ``moment`` is in; none: absent."""
    hour = hour_of(moment)
    sums = [
        sa.func.sum(sa.case((USAGE.c.hour.startswith(hour[:length]), USAGE.c.tokens), else_=0))
        for length in _PREFIX.values()
    ]
    query = sa.select(USAGE.c.kind, USAGE.c.name, *sums).group_by(USAGE.c.kind, USAGE.c.name)
    return {
        (User(kind, name), period): int(tokens)
        for kind, name, *values in connection.execute(query)
        for period, tokens in zip(_PREFIX, values, strict=True)
    }


def count_usage(connection: sa.Connection, receipts: Iterable[Receipt]) -> None:
    """Add the receipts' tokens to their users, in the caller's transaction."""
    sums: dict[tuple[str | None, str | None, str | None, int], list[int]] = {}
    last: dict[str | None, float] = {}
    for one in receipts:  # for every request of the gateway: kept short
        hour = int(one.at // 3600)
        row = sums.setdefault((one.key, one.backend, one.role, hour), [0, 0])
        row[0] += 1
        row[1] += (one.input_tokens or 0) + (one.output_tokens or 0)
        last[one.key] = one.at
    users: dict[tuple[User, int], list[int]] = {}
    for (key, backend, role, hour), (requests, tokens) in sums.items():
        for user in _users(key, backend, role):
            total = users.setdefault((user, hour), [0, 0])
            total[0] += requests
            total[1] += tokens
    rows = [
        {"kind": user.kind, "name": user.name, "hour": hour_of(hour * 3600),
         "requests": requests, "tokens": tokens}
        for (user, hour), (requests, tokens) in users.items()
    ]  # fmt: skip
    add_rows(connection, USAGE, rows)
    for name, at in sorted((name, at) for name, at in last.items() if name is not None):
        row_of = sa.update(KEYS).where(KEYS.c.name == name)
        connection.execute(row_of.values(last_used_at=at))


def _users(key: str | None, backend: str | None, role: str | None) -> list[User]:
    names: tuple[tuple[UserKind, str | None], ...] = (
        ("key", key), ("provider", backend), ("role", role),
    )  # fmt: skip
    return [User(kind, name) for kind, name in names if name is not None]


def forget_usage(connection: sa.Connection, user: User) -> None:
    """Delete a user's counts: a new key of the same name starts with its whole budget."""
    row = (USAGE.c.kind == user.kind) & (USAGE.c.name == user.name)
    connection.execute(sa.delete(USAGE).where(row))
