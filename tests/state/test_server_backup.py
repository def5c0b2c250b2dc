"""Backups: of one moment, whole or refused, and the same for SQLite and PostgreSQL."""

from __future__ import annotations

import gzip
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Ran
from support.postgres_fixtures import KINDS, place_at

from modelscan.core.access import key_digest
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.receipt import Receipt
from modelscan.state.server import backup as backups
from modelscan.state.server.audit import Actor, list_audit
from modelscan.state.server.backup_file import checked_backup
from modelscan.state.server.database import ServerDatabase, record_change
from modelscan.state.server.keys import KeyLimits, KeyStore, hash_key
from modelscan.state.server.shares import GatewayLease
from modelscan.state.server.tables import CHANGES, REVISIONS
from modelscan.state.server.usage import User, used_tokens
from modelscan.traces.store import ReceiptStore

WHO = Actor("user", "test@here")


@pytest.fixture
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerDatabase]:
    """A second database, of the kind that is the parameter."""
    url = f"sqlite:///{tmp_path / 'other' / 'server.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").database()
    with ServerDatabase.open_at(place_at(url)) as database:
        yield database


def fill(database: ServerDatabase) -> str:
    store = KeyStore(database, WHO)
    _, token = store.create("a", KeyLimits(("infer", "read"), ("one", "zwei/ü"), 60, 4, 99, "day"))
    store.create("b", KeyLimits(expires_at=1e9 + 0.1))
    ReceiptStore(database).write(
        [Receipt(f"{n:032x}", 1e9 + n, "chat", "m", key="a", input_tokens=n) for n in range(2500)]
    )
    return token


@pytest.mark.parametrize("other", KINDS, indirect=True)
def test_a_backup_of_one_kind_is_restored_into_the_other(
    server_database: ServerDatabase, other: ServerDatabase, tmp_path: Path
) -> None:
    token = fill(server_database)
    written = backups.backup(server_database, tmp_path / "b.jsonl.gz")
    assert stat.S_IMODE((tmp_path / "b.jsonl.gz").stat().st_mode) == 0o600
    assert (written.rows["keys"], written.rows["receipts"]) == (2, 2500)
    KeyStore(other).create("replaced", KeyLimits())
    assert backups.is_used(other)
    restored = backups.restore(other, tmp_path / "b.jsonl.gz", WHO)
    assert (restored.rows, restored.sha256) == (written.rows, written.sha256)
    assert KeyStore(other).list() == KeyStore(server_database).list()
    assert key_digest(token.encode(), hash_key(other)) == KeyStore(other).list()[0].digest
    newest = ReceiptStore(other).newest(9999)
    assert newest == ReceiptStore(server_database).newest(9999)
    with server_database.reading() as one, other.reading() as two:
        assert used_tokens(one, 1e9) == used_tokens(two, 1e9)
        assert used_tokens(two, 1e9)[User("key", "a"), "total"] == sum(range(2500))
    log = list_audit(other, limit=9)
    assert [row.action for row in log.changes] == ["server.restore", "key.create", "key.create"]
    assert log.broken_at is None
    ReceiptStore(other).write([newest[0]])  # its number follows
    KeyStore(other).create("c", KeyLimits())
    assert other.revision() == REVISIONS[-1]


def test_a_backup_is_one_moment_while_others_write(
    server_database: ServerDatabase, tmp_path: Path
) -> None:
    """Two counters that are always changed together are equal in every backup."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            with server_database.writing() as connection:
                record_change(connection, "one")
                record_change(connection, "two")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(8):
            backups.backup(server_database, tmp_path / f"{number}.gz")
    finally:
        stop.set()
        writer.join()
    for number in range(8):
        rows = [
            row
            for _, batch in checked_backup(tmp_path / f"{number}.gz").batches(9)
            for row in batch
        ]
        counts = {row[0]: row[1] for row in rows}
        assert counts.get("one") == counts.get("two")


def damaged(data: bytes) -> Iterator[bytes]:
    text = gzip.decompress(data)
    lines = text.splitlines(keepends=True)
    yield data[: len(data) // 2]
    yield b""
    yield gzip.compress(b"".join(lines[:-1]))
    yield gzip.compress(b"".join([lines[0], *lines[2:]]))
    yield gzip.compress(text.replace(b'["keys",["a"', b'["keys",["z"'))
    yield gzip.compress(text + b'["keys",[]]\n')
    yield gzip.compress(text.replace(b'"digest"', b'"digset"', 1))
    yield b"PK\x03\x04 some other archive"
    yield gzip.compress(b'{"schema":"something"}\n')
    yield data[:-8] + bytes([data[-8] ^ 1]) + data[-7:]  # of the checksum


def test_a_damaged_file_changes_nothing(server_database: ServerDatabase, tmp_path: Path) -> None:
    fill(server_database)
    file = tmp_path / "b.gz"
    backups.backup(server_database, file)
    with server_database.reading() as connection:
        before = connection.execute(sa.select(CHANGES)).all()
    for data in damaged(file.read_bytes()):
        (tmp_path / "bad.gz").write_bytes(data)
        with pytest.raises(ModelscanError) as error:
            backups.restore(server_database, tmp_path / "bad.gz", WHO)
        assert error.value.hint
    for missing in (tmp_path / "nothing.gz", tmp_path):
        with pytest.raises(UsageError):
            backups.restore(server_database, missing, WHO)
    with pytest.raises(UsageError, match="exists already"):
        backups.backup(server_database, file)
    with pytest.raises(UsageError, match="no folder") as refused:
        backups.backup(server_database, tmp_path / "new" / "b.gz")
    assert refused.value.hint == f"mkdir -p '{tmp_path / 'new'}'"
    with server_database.reading() as connection:
        assert connection.execute(sa.select(CHANGES)).all() == before


def test_a_restore_that_fails_in_the_middle_changes_nothing(
    server_database: ServerDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = fill(server_database)
    file = tmp_path / "b.gz"
    backups.backup(server_database, file)
    secret, keys = hash_key(server_database), KeyStore(server_database).list()

    def broken(*_: object, **__: object) -> None:
        raise ModelscanError("no space is left")

    for name in ("_fill", "record_change", "record_audit"):
        with monkeypatch.context() as patch:
            patch.setattr(backups, name, broken)
            with pytest.raises(ModelscanError, match="no space"):
                backups.restore(server_database, file, WHO)
        assert hash_key(server_database) == secret
        assert KeyStore(server_database).list() == keys
    assert key_digest(token.encode(), secret) == keys[0].digest


def rewritten(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A backup with another header and a hash that is right for it."""
    import hashlib

    header, *rows, end = gzip.decompress(file.read_bytes()).splitlines(keepends=True)
    document = json.loads(header)
    change(document)
    body = json.dumps(document).encode() + b"\n" + b"".join(rows)
    last = {**json.loads(end), "sha256": hashlib.sha256(body).hexdigest()}
    new = file.with_name("rewritten.gz")
    new.write_bytes(gzip.compress(body + json.dumps(last).encode() + b"\n"))
    return new


def test_backups_of_other_releases(server_database: ServerDatabase, tmp_path: Path) -> None:
    """A newer one is refused; an older one is migrated."""
    fill(server_database)
    backups.backup(server_database, tmp_path / "b.gz")
    for values in ({"revision": "9999"}, {"schema": "modelscan.server.backup/2"}):
        newer = rewritten(tmp_path / "b.gz", lambda header, v=values: header.update(v))
        with pytest.raises(ModelscanError, match="newer modelscan") as error:
            backups.restore(server_database, newer, WHO)
        assert error.value.code == "store_newer"
    if server_database.file is not None:  # the first release had files only
        _old(server_database, tmp_path / "old.gz")
        assert backups.restore(server_database, tmp_path / "old.gz", WHO).revision == "0001"
        assert server_database.revision() == REVISIONS[-1]


def _old(database: ServerDatabase, file: Path) -> None:
    """A backup at the first revision."""
    with database.writing() as connection:
        backups._empty(connection)
        backups.upgrade(connection, "0001")
        connection.execute(sa.insert(CHANGES).values(what="x", number=7))
    backups.backup(database, file)
    ServerDatabase.open_at(database.place).close()


def test_a_running_gateway_is_not_disturbed(
    server_database: ServerDatabase, tmp_path: Path
) -> None:
    backups.backup(server_database, tmp_path / "b.gz")
    lease = GatewayLease(server_database, "http://127.0.0.1:8900", "1")
    lease.join()
    with pytest.raises(ModelscanError, match="a gateway runs on this database") as error:
        backups.restore(server_database, tmp_path / "b.gz", WHO)
    assert error.value.code == "gateway_running"
    lease.leave({})
    backups.restore(server_database, tmp_path / "b.gz", WHO)


def test_commands(
    run_in_process: Callable[..., Ran], clean_environment: Path, tmp_path: Path
) -> None:
    assert run_in_process("key", "create", "k").code == 0
    made = run_in_process("server", "backup", str(tmp_path), "--json")
    assert made.code == 0, made.out
    file = made.json["file"]
    assert run_in_process("key", "revoke", "k").code == 0
    assert run_in_process("key", "create", "other").code == 0
    asked = run_in_process("server", "restore", file)
    assert (asked.code, f"hint: modelscan server restore {file} --yes" in asked.err) == (2, True)
    done = run_in_process("server", "restore", file, "--yes", "--json")
    assert (done.code, done.json["rows"]["keys"]) == (0, 1)
    shown = run_in_process("server", "status", "--json").json
    rows = {row["name"]: (row["rows"], row["kept"]) for row in shown["tables"]}
    assert rows["keys"] == (1, None)
    assert rows["receipts"] == (0, "30 days or 1,024 MiB")
    changes = run_in_process("server", "audit", "--since", "1h", "--json").json["changes"]
    assert [row["action"] for row in changes] == ["server.restore", "key.create"]
    assert run_in_process("server", "audit", "-q").out.split() == ["2", "1"]


def test_an_interrupted_backup_leaves_no_file(
    server_database: ServerDatabase, database_url: str, tmp_path: Path
) -> None:
    fill(server_database)
    folder = tmp_path / "backups"
    folder.mkdir()
    code = (
        "import os, sys; from modelscan.state.server import backup, backup_file;"
        "line = backup_file.BackupWriter.row;"
        "backup_file.BackupWriter.row = lambda self, *a: "
        "(print('row', flush=True), sys.stdin.read(1), line(self, *a));"
        "from modelscan.__main__ import main; main()"
    )
    words = [sys.executable, "-c", code, "server", "backup", str(folder)]
    env = {**os.environ, "MODELSCAN_DATABASE_URL": database_url}
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"row\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert list(folder.iterdir()) == []
