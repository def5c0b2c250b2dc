"""The tokens that keys, providers and roles used, per hour: what budgets are counted from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Literal, NamedTuple, get_args

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
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
    requests: Counter[tuple[User, str]] = Counter()
    tokens: Counter[tuple[User, str]] = Counter()
    last: dict[str, float] = {}
    for receipt in receipts:
        for user in _users(receipt):
            place = user, hour_of(receipt.at)
            requests[place] += 1
            tokens[place] += (receipt.input_tokens or 0) + (receipt.output_tokens or 0)
        if receipt.key is not None:
            last[receipt.key] = max(receipt.at, last.get(receipt.key, 0.0))
    for place, number in requests.items():
        _add(connection, place, number, tokens[place])
    for key, at in last.items():
        connection.execute(sa.update(KEYS).where(KEYS.c.name == key).values(last_used_at=at))


def _users(receipt: Receipt) -> list[User]:
    names: tuple[tuple[UserKind, str | None], ...] = (
        ("key", receipt.key), ("provider", receipt.backend), ("role", receipt.role),
    )  # fmt: skip
    return [User(kind, name) for kind, name in names if name is not None]


def _add(connection: sa.Connection, place: tuple[User, str], requests: int, tokens: int) -> None:
    (kind, name), hour = place
    row = (USAGE.c.kind == kind) & (USAGE.c.name == name) & (USAGE.c.hour == hour)
    more = {"requests": USAGE.c.requests + requests, "tokens": USAGE.c.tokens + tokens}
    if not connection.execute(sa.update(USAGE).where(row).values(more)).rowcount:
        values = {"kind": kind, "name": name, "hour": hour, "requests": requests, "tokens": tokens}
        connection.execute(sa.insert(USAGE).values(values))


def forget_usage(connection: sa.Connection, user: User) -> None:
    """Delete a user's counts: a new key of the same name starts with its whole budget."""
    row = (USAGE.c.kind == user.kind) & (USAGE.c.name == user.name)
    connection.execute(sa.delete(USAGE).where(row))
