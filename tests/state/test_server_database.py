"""The server's database: migrations, files, refusals; keys in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from conftest import Ran

from modelscan.core.access import key_digest
from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.receipt import Receipt
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore, hash_key
from modelscan.state.server.place import FILE_NAME, DatabasePlace
from modelscan.state.server.tables import METADATA, RECEIPTS, REVISIONS
from modelscan.state.server.usage import User, count_usage, used_tokens

MONTH_OF_MARCH = 1_772_323_200.0  # 2026-03-01T00:00:00Z


@pytest.fixture
def database(server_database: ServerDatabase) -> ServerDatabase:
    return server_database


def test_migrations_make_the_tables_of_the_code(database: ServerDatabase) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    if database.file is not None:
        with database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert stat.S_IMODE(database.file.stat().st_mode) == 0o600
    config = Config()
    config.set_main_option("script_location", "modelscan.state.server:migrations")
    script = ScriptDirectory.from_config(config)
    assert tuple(one.revision for one in script.walk_revisions())[::-1] == REVISIONS
    columns = {column.name for column in RECEIPTS.columns} - {"id", "body"}
    assert columns <= set(Receipt.__struct_fields__)


def test_a_newer_one_is_refused(server_place: DatabasePlace) -> None:
    with ServerDatabase.open_at(server_place) as database, database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ModelscanError, match=f"newer modelscan.*9999.*{REVISIONS[-1]}") as error:
        ServerDatabase.open_at(server_place)
    assert error.value.code == "store_newer"


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    with pytest.raises(ModelscanError, match="cannot be used") as error:
        ServerDatabase.open(tmp_path)
    assert "mv " in (error.value.hint or "")


def test_processes_may_open_a_new_one_at_once(database_url: str) -> None:
    code = (
        "from modelscan.state.config import load;"
        "from modelscan.state.server.database import open_server;"
        "from modelscan.state.server.keys import KeyLimits, KeyStore;"
        "d = open_server(load()); print(KeyStore(d).create(None, KeyLimits())[0])"
    )
    words = [sys.executable, "-c", code]
    env = {**os.environ, "MODELSCAN_DATABASE_URL": database_url}
    processes = [
        subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)
    ]
    names = sorted(process.communicate()[0].strip() for process in processes)
    assert names == ["key-1", "key-2", "key-3"]


def test_only_a_keyed_hash_of_a_key_is_stored(database: ServerDatabase) -> None:
    store = KeyStore(database)
    limits = KeyLimits(("infer", "read"), ("coder",), 60, 4, 1000, "month", "coder", 2e9)
    name, token = store.create("lap", limits)
    (record,) = store.list()
    assert (name, record.name, record.limits) == ("lap", "lap", limits)
    secret = hash_key(database)
    assert record.digest == key_digest(token.encode(), secret)
    if database.file is None:
        return
    state = database.file.parent
    for file in state.iterdir():
        assert token.encode() not in file.read_bytes()
    assert stat.S_IMODE((state / "key-hash").stat().st_mode) == 0o600
    (state / "key-hash").write_bytes(b"short")
    with pytest.raises(ModelscanError, match="5 bytes instead of 32"):
        hash_key(database)


def test_names_and_values_of_keys_are_checked(database: ServerDatabase) -> None:
    store = KeyStore(database)
    assert store.create(None, KeyLimits(), "0123456789abcdef") == ("key-1", "0123456789abcdef")
    cases = [
        (("key-1", None), "already"),
        ((None, "0123456789abcdef"), "another key has this value"),
        ((None, "x" * 513), "513 characters"),
        ((None, "with a space in it"), "without spaces"),
        (("../x", None), "not a name"),
    ]
    for (name, value), message in cases:
        with pytest.raises(UsageError, match=message):
            store.create(name, KeyLimits(), value)
    with pytest.raises(UsageError, match="no scope 'infr'") as error:
        store.create(None, KeyLimits(("infr",)))  # type: ignore[arg-type]
    assert error.value.hint == "modelscan key create --scope infer"
    with pytest.raises(UsageError, match="at least 1"):
        store.create(None, KeyLimits(max_concurrent=0))
    with pytest.raises(UsageError, match="no key 'key-2'") as error:
        store.revoke("key-2")
    assert error.value.hint == "modelscan key revoke key-1"


def test_a_budget_counts_its_period_and_a_new_key_of_a_name_starts_at_zero(
    database: ServerDatabase,
) -> None:
    store = KeyStore(database)
    for name, period in (("d", "day"), ("m", "month"), ("t", "total")):
        store.create(name, KeyLimits(budget_tokens=30, budget_period=period))  # type: ignore[arg-type]
    ats = (MONTH_OF_MARCH - 1, MONTH_OF_MARCH, MONTH_OF_MARCH + 86_400)
    receipts = [
        Receipt(
            "t",
            at,
            "chat",
            "m",
            input_tokens=8,
            output_tokens=2,
            key=key,
            backend=None if key == "t" else "p",
        )
        for at in ats
        for key in "dmt"
    ]
    with database.writing() as connection:
        count_usage(connection, receipts)
        count_usage(connection, [Receipt("t", ats[2], "chat", "m", key="d")])
    used = {k.name: (k.used_tokens, k.spent_out) for k in store.list(MONTH_OF_MARCH + 86_401)}
    assert used == {"d": (10, False), "m": (20, False), "t": (30, True)}
    assert {key.last_used_at for key in store.list()} == {ats[2]}
    with database.reading() as connection:
        used = used_tokens(connection, MONTH_OF_MARCH + 3600)
    assert used[User("key", "m"), "hour"] == 0
    assert used[User("provider", "p"), "total"] == 60
    store.revoke("t")
    store.create("t", KeyLimits(budget_tokens=30, budget_period="total"))
    assert [key.used_tokens for key in store.list(MONTH_OF_MARCH)][-1] == 0


def test_key_commands(run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    made = run_in_process("key", "create", "lap", "--rate", "60", "--budget", "2m", "--json").json
    assert made["key"].startswith("sk-ms-")
    assert made["limits"]["budget_tokens"] == 2_000_000
    assert made["limits"]["budget_period"] == "month"
    human = run_in_process("key", "create")
    assert "shown only now" in human.err
    assert "Authorization: Bearer sk-ms-" in human.err
    monkeypatch.setenv("MINE", "0123456789abcdef")
    given = run_in_process("key", "create", "given", "--value", "env:MINE")
    assert "0123456789abcdef" not in given.out + given.err
    literal = run_in_process("key", "create", "--value", "0123456789abcdef")
    assert literal.code == 2
    assert "0123456789abcdef" not in literal.out + literal.err
    listed = run_in_process("key", "list", "--json")
    assert [key["name"] for key in listed.json["keys"]] == ["given", "key-1", "lap"]
    assert made["key"] not in listed.out
    assert run_in_process("key", "revoke", "lap", "key-1").code == 0
    assert run_in_process("key", "list", "-q").out == "given\n"
    typo = run_in_process("key", "create", "k", "--model", "fst", "--model", "auto", "--json").json
    assert typo["warnings"] == ["the routing file has no name 'fst'; did you mean 'fast'?"]
    assert run_in_process("key", "create", "--period", "day").code == 2
    assert run_in_process("key", "create", "--budget", "1k", "--period", "week").code == 2
