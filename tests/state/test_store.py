"""The store of deployments: what is written is read back, whoever writes at the same time."""

from __future__ import annotations

import json
import resource
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from support.deployments import make

from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError
from modelscan.state.database import LAYOUT, version
from modelscan.state.store import MIGRATIONS, PortTaken, Store


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "modelscan.sqlite3"


def test_a_deployment_comes_back_as_it_was(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("b", port=41001))
        store.put(make("a", port=41000, state=State.FAILED, reason="why"))
    with Store.open(file) as store:
        assert store.get("b") == make("b", port=41001)
        assert [one.name for one in store.all()] == ["a", "b"]
        assert store.ports() == {41000, 41001}
        assert store.get("c") is None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_row_is_replaced_and_deleted(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("a", port=41000))
        store.put(make("a", port=41005, state=State.STOPPED))
        found = store.get("a")
        assert found is not None
        assert (found.port, found.state) == (41005, State.STOPPED)
        assert store.delete("a")
        assert not store.delete("a")
        assert store.all() == ()


def test_a_port_belongs_to_one_deployment(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("a", port=41000))
        with pytest.raises(PortTaken):
            store.put(make("b", port=41000))
        store.put(make("b", port=None))
        store.put(make("c", port=None))
        store.put(make("a", port=41000, state=State.STOPPED))


def test_fields_that_an_older_version_did_not_write_get_their_defaults(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("a"))
    with sqlite3.connect(file) as connection:
        text = connection.execute("SELECT document FROM deployments").fetchone()[0]
        document = json.loads(text)
        del document["routed"], document["measured"]
        document["of_a_newer_version"] = 1
        connection.execute("UPDATE deployments SET document = ?", (json.dumps(document),))
    connection.close()
    with Store.open(file) as store:
        assert store.get("a") == make("a")


def test_a_newer_store_is_left_alone(file: Path) -> None:
    Store.open(file).close()
    connection = sqlite3.connect(file)
    assert version(connection, MIGRATIONS) == len(MIGRATIONS.steps)
    connection.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    connection.close()
    with pytest.raises(ModelscanError, match="newer modelscan") as caught:
        Store.open(file)
    assert caught.value.hint


def test_a_damaged_store_is_explained(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is no database, but it is long enough to look like a file" * 20)
    with pytest.raises(ModelscanError, match="cannot be used") as caught:
        Store.open(file)
    assert caught.value.hint is not None
    assert "mv" in caught.value.hint


def _no_more_bytes() -> None:
    """As on a full disk: a file of the process cannot grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


_ON_A_FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from support.deployments import make
from modelscan.core.errors import ModelscanError
from modelscan.state.store import Store
with Store.open(Path(sys.argv[1])) as store:
    print(*(row.name for row in store.all()))
    try:
        store.put(make("two"))
    except ModelscanError as error:
        print(error.hint)
"""


def test_a_store_on_a_full_disk_can_be_read_and_is_not_to_be_moved_away(file: Path) -> None:
    with Store.open(file) as store:
        store.put(make("one"))
    ran = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, str(file), str(REPOSITORY / "tests")],
        cwd=REPOSITORY, preexec_fn=_no_more_bytes, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    names, hint = ran.stdout.splitlines()
    assert (names, "mv" in hint) == ("one", False), ran.stderr
    with Store.open(file) as store:
        assert [row.name for row in store.all()] == ["one"]


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from support.deployments import make
from modelscan.state.store import Store
for number in range(20):
    with Store.open(Path(sys.argv[1])) as store:
        store.put(make(f"{sys.argv[2]}-{number}"))
"""


def test_processes_that_create_and_write_at_once_lose_nothing(file: Path) -> None:
    """The first opening switches to WAL, which knows no waiting: the store makes them queue."""
    tests = str(REPOSITORY / "tests")
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(file), str(number), tests])
        for number in range(6)
    ]
    assert [writer.wait(60) for writer in writers] == [0] * 6
    with Store.open(file) as store:
        assert len(store.all()) == 120


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"state": 3}'])
def test_a_row_that_is_no_record_is_named_and_harms_no_other(file: Path, text: str) -> None:
    with Store.open(file) as store:
        store.put(make("a"))
        store.put(make("b", port=None))
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE deployments SET document = ? WHERE name = 'b'", (text,))
    connection.close()
    with Store.open(file) as store:
        assert [row.name for row in store.all()] == ["a"]
        assert len(store.notes) == 1 and "'b' cannot be read" in store.notes[0]
        assert store.names() == {"a", "b"}
        with pytest.raises(ModelscanError, match="'b' cannot be read"):
            store.get("b")
