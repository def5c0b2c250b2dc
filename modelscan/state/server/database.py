"""The server's database file: opened, migrated by Alembic, with its errors explained.

SQLite in WAL mode, so that commands change keys while the server runs.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from modelscan.core.errors import ModelscanError
from modelscan.state.database import explained
from modelscan.state.files import PRIVATE_FILE, ensure_dir
from modelscan.state.locks import hold
from modelscan.state.server.extra import FILE_NAME
from modelscan.state.server.tables import CHANGES, REVISIONS

_BUSY_TIMEOUT_S = 20.0


class ServerDatabase:
    """An open database, for any number of threads. Use it as a context manager, or close it."""

    def __init__(self, engine: sa.Engine, file: Path) -> None:
        self._engine = engine
        self.file = file

    @classmethod
    def open(cls, state: Path) -> ServerDatabase:
        """Open or create the file in the state folder and apply the missing migrations.

        Raises ModelscanError if the file is damaged, or was written by a newer modelscan.
        """
        file = ensure_dir(state) / FILE_NAME
        database = cls(_engine(file), file)
        try:
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that only reads. Raises ModelscanError if the file is unusable."""
        with _sqlite_errors(self.file), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that has the write lock from its start; committed at the end.

        sqlite3.IntegrityError passes; raises ModelscanError if the file is unusable.
        """
        with (
            _sqlite_errors(self.file),
            self._engine.connect() as connection,
            connection.execution_options(immediate=True).begin(),
        ):
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> ServerDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _migrate(self) -> None:
        with self.reading() as connection:
            revision = _revision(connection)
        if revision == REVISIONS[-1]:
            return
        if revision is not None and revision not in REVISIONS:
            raise ModelscanError(
                f"{self.file} was written by a newer modelscan (revision {revision}; this one "
                f"supports up to {REVISIONS[-1]})",
                hint="use that release, or set MODELSCAN_HOME=FOLDER for separate records",
                code="store_newer",
            )
        with hold(self.file.with_suffix(".lock"), what="the server's database"):
            self._upgrade()
            self.file.chmod(PRIVATE_FILE)

    def _upgrade(self) -> None:
        """Run Alembic to the newest revision in one transaction."""
        from alembic import command
        from alembic.config import Config

        with contextlib.closing(sqlite3.connect(self.file)) as plain:  # not in a transaction
            plain.execute("PRAGMA journal_mode = WAL")
        config = Config()
        config.set_main_option("script_location", "modelscan.state.server:migrations")
        with self.writing() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _engine(file: Path) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(file))
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we begin transactions, not the driver
        connection.execute("PRAGMA synchronous = NORMAL")

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _revision(connection: sa.Connection) -> str | None:
    """The revision that the file is at; None for a new file."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    rows = connection.execute(sa.text("SELECT version_num FROM alembic_version")).fetchall()
    return str(rows[0][0]) if rows else None


@contextlib.contextmanager
def _sqlite_errors(file: Path) -> Iterator[None]:
    """SQLAlchemy's errors as the ones of SQLite that they wrap, explained."""
    with explained(file):
        try:
            yield
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.Error):
                raise error.orig from error
            raise


def change_number(connection: sa.Connection, what: str) -> int:
    """How often records of this kind were changed."""
    query = sa.select(CHANGES.c.number).where(CHANGES.c.what == what)
    return int(connection.execute(query).scalar() or 0)


def record_change(connection: sa.Connection, what: str) -> None:
    """Count a change, so that other processes read the records again."""
    number = change_number(connection, what)
    if number:
        connection.execute(
            sa.update(CHANGES).where(CHANGES.c.what == what).values(number=number + 1)
        )
    else:
        connection.execute(sa.insert(CHANGES).values(what=what, number=1))
