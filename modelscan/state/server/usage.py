"""The tokens that each key used per day: what budgets are counted from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Literal, get_args

import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.state.server.tables import KEY_USAGE, KEYS

BudgetPeriod = Literal["day", "month", "total"]
PERIODS: tuple[BudgetPeriod, ...] = get_args(BudgetPeriod)
_PREFIX = {"day": 10, "month": 7, "total": 0}  # characters of YYYY-MM-DD that a period shares


def day_of(moment: float) -> str:
    """The UTC day of a UNIX time: ``2026-01-31``."""
    return datetime.fromtimestamp(moment, timezone.utc).date().isoformat()


def used_tokens(connection: sa.Connection, moment: float) -> dict[tuple[str, BudgetPeriod], int]:
    """Input and output tokens by key and period (the ones that ``moment`` is in)."""
    today = day_of(moment)
    used: Counter[tuple[str, BudgetPeriod]] = Counter()
    for key, day, tokens in connection.execute(
        sa.select(KEY_USAGE.c.key, KEY_USAGE.c.day, KEY_USAGE.c.tokens)
    ):
        for period in PERIODS:
            if day.startswith(today[: _PREFIX[period]]):
                used[key, period] += tokens
    return dict(used)


def count_usage(connection: sa.Connection, receipts: Iterable[Receipt]) -> None:
    """Add the receipts' tokens to their keys, in the caller's transaction."""
    requests: Counter[tuple[str, str]] = Counter()
    tokens: Counter[tuple[str, str]] = Counter()
    last: dict[str, float] = {}
    for receipt in receipts:
        if receipt.key is not None:
            place = receipt.key, day_of(receipt.at)
            requests[place] += 1
            tokens[place] += (receipt.input_tokens or 0) + (receipt.output_tokens or 0)
            last[receipt.key] = max(receipt.at, last.get(receipt.key, 0.0))
    for place, number in requests.items():
        _add(connection, place, number, tokens[place])
    for key, at in last.items():
        connection.execute(sa.update(KEYS).where(KEYS.c.name == key).values(last_used_at=at))


def _add(connection: sa.Connection, place: tuple[str, str], requests: int, tokens: int) -> None:
    key, day = place
    row = (KEY_USAGE.c.key == key) & (KEY_USAGE.c.day == day)
    more = {
        "requests": KEY_USAGE.c.requests + requests,
        "tokens": KEY_USAGE.c.tokens + tokens,
    }
    if not connection.execute(sa.update(KEY_USAGE).where(row).values(more)).rowcount:
        values = {"key": key, "day": day, "requests": requests, "tokens": tokens}
        connection.execute(sa.insert(KEY_USAGE).values(values))


def forget_usage(connection: sa.Connection, key: str) -> None:
    """Delete a key's counts: a new key of the same name starts with its whole budget."""
    connection.execute(sa.delete(KEY_USAGE).where(KEY_USAGE.c.key == key))
