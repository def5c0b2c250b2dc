"""The server's database in both kinds: a SQLite file, and a real PostgreSQL where it is installed.

Tests that take ``server_place`` or ``database`` run once for each. The server is started by the
first test that needs it.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.postgres import PostgresServer, binaries, temporary

from modelscan.state.config import load
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.place import DatabasePlace, place_of

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The session's PostgreSQL; each test makes a database of its own in it."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    server = temporary()
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind, as the setting ``database_url``."""
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.database()
    return f"sqlite:///{tmp_path / 'shared' / 'server.sqlite3'}"


@pytest.fixture
def server_place(database_url: str) -> DatabasePlace:
    """The same as a value."""
    return place_at(database_url)


def place_at(url: str) -> DatabasePlace:
    """The place that an address means."""
    return place_of(load(environ={"MODELSCAN_HOME": "/nonexistent", "MODELSCAN_DATABASE_URL": url}))


@pytest.fixture
def server_database(server_place: DatabasePlace) -> Iterator[ServerDatabase]:
    """It, opened and migrated."""
    with ServerDatabase.open_at(server_place) as opened:
        yield opened
