"""What of the server's database is deleted, and when: no table grows without a limit.

Receipts are deleted by their own store (``modelscan.traces.store``), by age and size. Everything
is deleted in batches, so that no other writer waits long.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.nodes import NodeStore
from modelscan.state.server.registry_tables import EVENTS
from modelscan.state.server.sharing import LEASE_S, WINDOW_S
from modelscan.state.server.tables import AUDIT, GATEWAYS, HOSTS, SHARES, USAGE
from modelscan.state.server.usage import hour_of

DAY_S = 86_400.0
USAGE_HOURS_DAYS = 32
"""Tokens per hour older than this are kept as one sum per key, provider and role."""
AUDIT_MOST = EVENTS_MOST = 1_000_000
HOSTS_DAYS = 30
"""A node that sent nothing for so long is deleted with its services."""
MOST_SAMPLES_STORED, MOST_REPORTS_STORED = 100_000, 1_000
"""Results of benchmarks and their reports: the oldest are deleted where more of them come."""
MOST_RESULTS_STORED = 100_000
"""Results of versions in the registry: the oldest are deleted where more of them come."""
BATCH = 5_000
OLD_HOUR = "0000"
_GATEWAYS_S = DAY_S


def prune(database: ServerDatabase, *, audit_keep_days: int) -> dict[str, int]:
    """Delete what is too old, and return the number of deleted rows per table.

    Raises ModelscanError if the database is unusable.
    """
    now = time.time()
    deleted = {
        "audit": 0,
        "usage": _merge_usage(database, now),
        "gateways": _gateways(database, now),
        "hosts": _hosts(database, now),
        "events": 0,
    }
    while batch := _audit(database, now - audit_keep_days * DAY_S):
        deleted["audit"] += batch
    while batch := _events(database):
        deleted["events"] += batch
    database.compact()
    return deleted


def _audit(database: ServerDatabase, before: float) -> int:
    with database.writing() as connection:
        newest = connection.execute(sa.select(sa.func.max(AUDIT.c.id))).scalar() or 0
        old = (AUDIT.c.at < before) | (AUDIT.c.id <= newest - AUDIT_MOST)
        oldest = sa.select(AUDIT.c.id).where(old).order_by(AUDIT.c.id).limit(BATCH)
        rows = AUDIT.c.id.in_(oldest.scalar_subquery())
        return connection.execute(sa.delete(AUDIT).where(rows)).rowcount


def _events(database: ServerDatabase) -> int:
    with database.writing() as connection:
        newest = connection.execute(sa.select(sa.func.max(EVENTS.c.id))).scalar() or 0
        oldest = sa.select(EVENTS.c.id).where(EVENTS.c.id <= newest - EVENTS_MOST)
        rows = EVENTS.c.id.in_(oldest.order_by(EVENTS.c.id).limit(BATCH).scalar_subquery())
        return connection.execute(sa.delete(EVENTS).where(rows)).rowcount


def _merge_usage(database: ServerDatabase, now: float) -> int:
    """Budgets count a day, a month or everything: of older hours, the sum is enough."""
    limit = hour_of(now - USAGE_HOURS_DAYS * DAY_S)
    old = (USAGE.c.hour < limit) & (USAGE.c.hour != OLD_HOUR)
    sums = sa.func.sum(USAGE.c.requests), sa.func.sum(USAGE.c.tokens)
    query = sa.select(USAGE.c.kind, USAGE.c.name, *sums).where(old)
    with database.writing() as connection:
        totals = connection.execute(query.group_by(USAGE.c.kind, USAGE.c.name)).all()
        if not totals:
            return 0
        deleted = connection.execute(sa.delete(USAGE).where(old)).rowcount
        for kind, name, requests, tokens in totals:
            _add_old(connection, kind, name, int(requests), int(tokens))
        return deleted


def _add_old(connection: sa.Connection, kind: str, name: str, requests: int, tokens: int) -> None:
    row = (USAGE.c.kind == kind) & (USAGE.c.name == name) & (USAGE.c.hour == OLD_HOUR)
    more = {"requests": USAGE.c.requests + requests, "tokens": USAGE.c.tokens + tokens}
    if not connection.execute(sa.update(USAGE).where(row).values(more)).rowcount:
        values = {"kind": kind, "name": name, "hour": OLD_HOUR}
        connection.execute(sa.insert(USAGE).values(**values, requests=requests, tokens=tokens))


def _hosts(database: ServerDatabase, now: float) -> int:
    """Nodes that sent nothing for a month, with their services."""
    with database.reading() as connection:
        old = sa.select(HOSTS.c.host_id).where(HOSTS.c.last_seen < now - HOSTS_DAYS * DAY_S)
        names = connection.execute(old.limit(BATCH)).scalars().all()
    return NodeStore(database).remove(names) if names else 0


def _gateways(database: ServerDatabase, now: float) -> int:
    """Gateways that were not seen for a day, and shares without a gateway."""
    with database.writing() as connection:
        old = GATEWAYS.c.seen_at < now - max(_GATEWAYS_S, LEASE_S + WINDOW_S)
        deleted = connection.execute(sa.delete(GATEWAYS).where(old)).rowcount
        known = sa.select(GATEWAYS.c.id).scalar_subquery()
        connection.execute(sa.delete(SHARES).where(SHARES.c.gateway.not_in(known)))
        return deleted
