"""No table grows without a limit; the log of changes shows what was taken out of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelscan.core.receipt import Receipt
from modelscan.state.config import load
from modelscan.state.server import retention
from modelscan.state.server.audit import Actor, list_audit, record_audit
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.shares import GatewayLease
from modelscan.state.server.status import kept, server_status
from modelscan.state.server.tables import AUDIT, GATEWAYS, HOSTS, SERVICES, SHARES, USAGE
from modelscan.state.server.usage import User, count_usage, used_tokens
from modelscan.traces.store import ReceiptStore

WHO = Actor("key", "admin")
DAY = retention.DAY_S


def test_old_hours_of_use_become_one_sum(server_database: ServerDatabase) -> None:
    now = time.time()
    receipts = [
        Receipt("t", now - days * DAY, "chat", "m", input_tokens=1, key="k", backend="p")
        for days in range(0, 200, 2)
    ]
    with server_database.writing() as connection:
        count_usage(connection, receipts)
        before = used_tokens(connection, now)
    for _ in range(2):  # nothing is counted twice
        retention.prune(server_database, audit_keep_days=400)
        with server_database.reading() as connection:
            assert used_tokens(connection, now) == before
            rows = connection.execute(sa.select(sa.func.count()).select_from(USAGE)).scalar()
        assert rows is not None and rows <= 2 * (retention.USAGE_HOURS_DAYS // 2 + 2)
    assert before[User("key", "k"), "total"] == 100


def test_changes_are_kept_for_a_time_and_up_to_a_number(
    server_database: ServerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server_database.writing() as connection:
        for number in range(12):
            record_audit(connection, WHO, "thing.change", f"t{number}", after={"n": number})
    with server_database.writing() as connection:
        old = AUDIT.c.target.in_([f"t{number}" for number in range(4)])
        connection.execute(sa.update(AUDIT).where(old).values(at=time.time() - 50 * DAY))
    monkeypatch.setattr(retention, "BATCH", 3)
    assert retention.prune(server_database, audit_keep_days=40)["audit"] == 4
    monkeypatch.setattr(retention, "AUDIT_MOST", 5)
    assert retention.prune(server_database, audit_keep_days=40)["audit"] == 3
    log = list_audit(server_database, limit=9)
    assert [row.target for row in log.changes] == [f"t{n}" for n in (11, 10, 9, 8, 7)]
    assert log.broken_at is None


def test_a_changed_row_and_a_missing_one_are_noticed(server_database: ServerDatabase) -> None:
    with server_database.writing() as connection:
        for number in range(6):
            record_audit(connection, WHO, "thing.change", f"t{number}", before=b"x")
    ids = [row.id for row in list_audit(server_database, limit=9).changes][::-1]
    assert list_audit(server_database, limit=9).broken_at is None
    with server_database.writing() as connection:
        connection.execute(sa.delete(AUDIT).where(AUDIT.c.id == ids[4]))
    assert list_audit(server_database, limit=1).broken_at == ids[5]
    with server_database.writing() as connection:
        connection.execute(sa.update(AUDIT).where(AUDIT.c.id == ids[2]).values(actor="me"))
    assert list_audit(server_database, limit=1).broken_at == ids[2]


def test_gateways_that_ended_are_forgotten(server_database: ServerDatabase) -> None:
    lease = GatewayLease(server_database, "http://127.0.0.1", "1")
    lease.join()
    with server_database.writing() as connection:
        values = {"key": "k", "gateway": lease.id, "used_requests": 0, "used_concurrent": 0}
        connection.execute(sa.insert(SHARES).values(**values, demand=0.0))
    retention.prune(server_database, audit_keep_days=1)
    with server_database.writing() as connection:
        connection.execute(sa.update(GATEWAYS).values(seen_at=time.time() - 2 * DAY))
    assert retention.prune(server_database, audit_keep_days=1)["gateways"] == 1
    with server_database.reading() as connection:
        assert connection.execute(sa.select(SHARES)).all() == []


def test_a_file_becomes_smaller_after_much_was_deleted(tmp_path: Path) -> None:
    with ServerDatabase.open(tmp_path) as database:
        store = ReceiptStore(database, keep_bytes=1)
        rows = [Receipt(f"{n:032x}", 1.0, "chat", "m" * 2000) for n in range(12_000)]
        store.write(rows)
        before = _pages(database)
        retention.prune(database, audit_keep_days=1)
        deleted = store.prune(time.time())
        assert deleted == 12_000
        retention.prune(database, audit_keep_days=1)
        after = _pages(database)
    assert before > 6000 > after


def _pages(database: ServerDatabase) -> int:
    with database.reading() as connection:
        return int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0)


def test_nodes_that_are_gone_for_a_month_are_forgotten(server_database: ServerDatabase) -> None:
    now = time.time()
    row = {
        "retired": [], "registered_at": 1.0, "interval_s": 10.0, "drained": False, "local": True,
        "body": b"{}", "changed": 1, "beaten": 1,
    }  # fmt: skip
    with server_database.writing() as connection:
        for name, days in (("old", 31), ("new", 29)):
            seen = now - days * DAY
            connection.execute(sa.insert(HOSTS).values(host_id=name, last_seen=seen, **row))
            service = {"service_id": f"{name}/s", "host_id": name, "place": 0, "body": b"{}"}
            connection.execute(sa.insert(SERVICES).values(updated_at=seen, **service))
    assert retention.prune(server_database, audit_keep_days=1)["hosts"] == 1
    with server_database.reading() as connection:
        assert connection.execute(sa.select(HOSTS.c.host_id)).scalars().all() == ["new"]
        assert connection.execute(sa.select(SERVICES.c.host_id)).scalars().all() == ["new"]


def test_every_growing_table_has_a_limit(server_database: ServerDatabase) -> None:
    """A new table has to say for how long it is kept, or that people make its rows."""
    made_by_people = {"keys", "changes", "server_values", "trace_choices"}
    made_by_people |= {f"registry_{name}" for name in ("models", "versions", "tags", "aliases")}
    made_by_people |= {"registry_terms"}  # words of models
    tables = {row.name for row in server_status(server_database, load()).tables}
    assert tables - made_by_people == set(kept(load()))
