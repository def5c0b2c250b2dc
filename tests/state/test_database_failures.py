"""A server's database that is dead, refuses, is full or wrong: its message and exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from support.postgres import GUEST, GUEST_PASSWORD, PostgresServer
from support.postgres_fixtures import place_at

from modelscan.core.errors import AuthError, ModelscanError, RemoteError, UsageError
from modelscan.state import config
from modelscan.state.database_url import parse_database_url
from modelscan.state.server import engines
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.keys import KeyLimits, KeyStore
from modelscan.state.settings import setting_row, write_setting

SECRET = "hunter2hunter2"
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
RAISE EXCEPTION 'could not extend file "base/1": No space left on device' USING ERRCODE = '53100';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON keys EXECUTE FUNCTION full_disk();
"""


def failure(url: str) -> ModelscanError:
    with pytest.raises(ModelscanError) as error:
        ServerDatabase.open_at(place_at(url))
    text = f"{error.value.message} {error.value.hint}"
    assert SECRET not in text and error.value.hint
    return error.value


def test_a_dead_server(tmp_path: Path) -> None:
    for place in (f"/x?host={tmp_path}", "127.0.0.1:9/x", "/x?host=127.0.0.1:9&host=[::1]:8"):
        error = failure(f"postgresql://me:{SECRET}@{place}")
        assert (type(error), error.exit_code, error.code) == (
            RemoteError, 5, "database_unreachable",
        )  # fmt: skip
        assert error.hint is not None and error.hint.startswith("pg_isready -h ")


def test_a_server_that_refuses(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = postgres.own_database()
    postgres.psql(f"DROP ROLE IF EXISTS {GUEST}")
    postgres.psql(f"CREATE ROLE {GUEST} LOGIN PASSWORD '{GUEST_PASSWORD}'")
    for user in (GUEST, f"{GUEST}:{SECRET}", "nobody_at_all"):
        error = failure(postgres.url(name, user))
        assert (type(error), error.exit_code, error.code) == (AuthError, 4, "database_refused")
    monkeypatch.setenv("DB_PASSWORD", GUEST_PASSWORD)
    allowed = postgres.url(name, f"{GUEST}:env:DB_PASSWORD")
    error = failure(allowed)  # it may connect now, but make no tables
    assert "permission denied" in error.message and error.exit_code == 4
    postgres.psql(f"GRANT ALL ON SCHEMA public TO {GUEST}", name)
    ServerDatabase.open_at(place_at(allowed)).close()
    error = failure(postgres.url("no_such_database"))
    assert (error.exit_code, error.hint) == (
        5, "createdb no_such_database   (on the database's machine)",
    )  # fmt: skip


def test_a_full_a_read_only_and_a_busy_database(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = postgres.own_database()
    url = postgres.url(name)
    monkeypatch.setitem(engines._SESSION, "lock_timeout", "100ms")
    with ServerDatabase.open_at(place_at(url)) as database:
        with database.writing(), pytest.raises(ModelscanError, match="busy") as error:
            KeyStore(database).create("a", KeyLimits())
        assert error.value.code == "locked"
        postgres.psql(FULL, name)
        with pytest.raises(ModelscanError, match="no space is left") as error:
            KeyStore(database).create("a", KeyLimits())
        assert error.value.exit_code == 1
        postgres.psql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with ServerDatabase.open_at(place_at(url)) as again:
            with pytest.raises(ModelscanError, match="read only"):
                KeyStore(again).create("a", KeyLimits())
            assert KeyStore(again).list() == []


def test_sessions_that_the_server_ends_are_replaced(postgres: PostgresServer) -> None:
    name = postgres.own_database()
    url = postgres.url(name)
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    with ServerDatabase.open_at(place_at(url)) as database:
        with pytest.raises(RemoteError, match="cannot be reached"), database.writing() as session:
            session.execute(sa.text("SELECT 1"))
            postgres.psql(end)
            session.execute(sa.text("SELECT 1"))
        KeyStore(database).create("a", KeyLimits())
        postgres.psql(end)
        assert [key.name for key in KeyStore(database).list()] == ["a"]


def test_the_address_of_the_database_never_shows_a_password(tmp_path: Path) -> None:
    shown = {
        f"postgresql://me:{SECRET}@db/x": "postgresql://me:***@db/x",
        f"postgres://me:p@ss:{SECRET}@db:5433/x?sslmode=require":
            "postgres://me:***@db:5433/x?sslmode=require",
        f"postgresql://db/x?password={SECRET}&sslmode=require":
            "postgresql://db/x?password=***&sslmode=require",
        "postgresql://me:env:PW@db/x": "postgresql://me:env:PW@db/x",
        "postgresql://me:file:/etc/pw@db/x": "postgresql://me:file:/etc/pw@db/x",
        "postgresql://me@/x?host=/run/pg": "postgresql://me@/x?host=/run/pg",
        "env:DATABASE_URL": "env:DATABASE_URL",
        "sqlite:////srv/server.sqlite3": "sqlite:////srv/server.sqlite3",
    }  # fmt: skip
    home = {"MODELSCAN_HOME": str(tmp_path)}
    for url, text in shown.items():
        settings = config.load(environ={**home, "MODELSCAN_DATABASE_URL": url})
        assert setting_row(settings, "database_url").value == text
    for url in list(shown)[:3]:  # a file is no place for a password
        with pytest.raises(UsageError) as error:
            write_setting(settings.paths, "database_url", url)
        assert error.value.code == "literal_secret" and SECRET not in str(error.value)
        with pytest.raises(UsageError) as error:
            file = settings.paths.user_config_file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'database_url = "{url}"\n')
            config.load(environ=home)
        assert SECRET not in f"{error.value} {error.value.hint} {error.value.details}"
    for bad in (f"mysql://me:{SECRET}@db/x", SECRET, "sqlite:relative", "postgresql://h:x/y"):
        with pytest.raises(UsageError) as error:
            parse_database_url(bad)
        assert SECRET not in f"{error.value} {error.value.hint}"


def test_a_whole_address_may_be_a_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    file.write_text(f"postgresql://me:p%40ss%20{SECRET}@db/x\n")
    place = place_at(f"file:{file}")
    assert (place.password, place.shown) == (f"p@ss {SECRET}", "postgresql://me:***@db/x")
    assert SECRET not in repr(place)
    with pytest.raises(AuthError, match="NO_SUCH_VARIABLE"):
        place_at("postgresql://me:env:NO_SUCH_VARIABLE@db/x")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="lacks psycopg") as error:
        place_at("postgresql://db/x")
    assert error.value.hint == "pip install 'psycopg[binary]'"
