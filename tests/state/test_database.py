"""One file for the records of this machine; each room has its tables and its own version."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from support.deployments import make

from modelscan.core.errors import ModelscanError
from modelscan.state.database import Database, Migrations, version
from modelscan.state.store import MIGRATIONS, Store

TRACES = Migrations("traces", (("CREATE TABLE traces (id INTEGER PRIMARY KEY, text TEXT)",),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "records.sqlite3"


def test_a_room_adds_its_tables_to_the_same_file(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("a"))
    with Database.open(file, TRACES) as database:
        assert database.change("INSERT INTO traces (text) VALUES (?)", "x") == 1
        assert database.rows("SELECT text FROM traces") == [("x",)]
    with Store.open(file) as store:
        assert store.names() == {"a"}


def test_a_room_grows_by_steps(file: Path) -> None:
    Database.open(file, TRACES).close()

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO traces (text) VALUES ('filled')")

    grown = Migrations("traces", (*TRACES.steps, ("ALTER TABLE traces ADD COLUMN at TEXT",), fill))
    with Database.open(file, grown) as database:
        assert database.rows("SELECT text, at FROM traces") == [("filled", None)]
    with Database.open(file, grown) as database:  # once
        assert len(database.rows("SELECT * FROM traces")) == 1


def test_a_step_that_fails_leaves_the_version_before(file: Path) -> None:
    broken = Migrations("traces", (*TRACES.steps, ("ALTER TABLE nothing ADD COLUMN at TEXT",)))
    with pytest.raises(ModelscanError, match="nothing"):
        Database.open(file, broken)
    with Database.open(file, TRACES) as database:
        assert database.rows("SELECT * FROM traces") == []


def test_a_room_of_a_later_release_closes_no_other(file: Path) -> None:
    Store.open(file).close()
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO rooms VALUES ('traces', 9)")
    connection.close()
    with Store.open(file) as store:
        assert store.all() == ()
    with pytest.raises(ModelscanError, match="traces 9") as caught:
        Database.open(file, TRACES)
    assert caught.value.code == "store_newer"


def test_versions_of_one_number_become_versions_of_rooms(file: Path) -> None:
    connection = sqlite3.connect(file)
    for step in MIGRATIONS.steps[:2]:
        assert isinstance(step, tuple)
        for statement in step:
            connection.execute(statement)
    connection.execute("PRAGMA user_version = 2")
    assert (version(connection, MIGRATIONS), version(connection, TRACES)) == (2, 0)
    connection.commit()
    connection.close()
    Database.open(file, TRACES).close()
    with Store.open(file) as store:
        store.put(make("a"))
    connection = sqlite3.connect(file)
    assert (version(connection, MIGRATIONS), version(connection, TRACES)) == (
        len(MIGRATIONS.steps),
        1,
    )
    connection.close()


def test_threads_have_connections_of_their_own(file: Path) -> None:
    def write(number: int) -> None:
        with Store.open(file) as store:
            for index in range(10):
                store.put(make(f"{number}-{index}"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(file) as store:
        assert len(store.all()) == 60
