"""The server's database: opened, migrated by Alembic, with its errors explained.

A SQLite file in WAL mode, so that commands change keys while the server runs; or a PostgreSQL
database (setting ``database_url``), which several gateways share.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from modelscan.core.errors import ModelscanError
from modelscan.state.config import Config
from modelscan.state.files import PRIVATE_FILE, ensure_dir
from modelscan.state.locks import hold
from modelscan.state.server import engines
from modelscan.state.server.failures import CONFIGURED, database_errors
from modelscan.state.server.place import FILE_NAME, DatabasePlace, file_place, place_of
from modelscan.state.server.tables import CHANGES, REVISIONS


class ServerDatabase:
    """An open database, for any number of threads. Use it as a context manager, or close it."""

    def __init__(self, engine: sa.Engine, place: DatabasePlace) -> None:
        self._engine = engine
        self.place = place

    @classmethod
    def open(cls, state: Path) -> ServerDatabase:
        """Open or create the SQLite file in the state folder and apply the missing migrations.

        Raises ModelscanError if the file is damaged, or was written by a newer modelscan.
        """
        return cls.open_at(file_place(state / FILE_NAME))

    @classmethod
    def open_at(cls, place: DatabasePlace) -> ServerDatabase:
        """Open a database and apply the missing migrations.

        Raises ModelscanError if it is damaged or newer, RemoteError if it cannot be reached,
        AuthError if it refuses this user.
        """
        if place.file is not None:
            ensure_dir(place.file.parent)
        database = cls(engines.engine_of(place), place)
        try:
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    @property
    def file(self) -> Path | None:
        """The SQLite file; None: a PostgreSQL server."""
        return self.place.file

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that only reads, all of it as of one moment.

        Raises ModelscanError if the database is unusable.
        """
        with database_errors(self.place), engines.reading(self._engine) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that has the write lock from its start; committed at the end.

        sqlalchemy.exc.IntegrityError passes; raises ModelscanError if the database is unusable.
        """
        with database_errors(self.place), engines.writing(self._engine) as connection:
            yield connection

    def compact(self) -> None:
        """Make a SQLite file smaller after much of it was deleted; PostgreSQL does it itself."""
        if self.file is not None:
            with database_errors(self.place):
                engines.compact(self.file)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> ServerDatabase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def revision(self) -> str | None:
        """The revision that the database is at; None: it is new."""
        with self.reading() as connection:
            return revision_of(connection)

    def _migrate(self) -> None:
        revision = self.revision()
        if revision == REVISIONS[-1]:
            return
        check_revision(revision, self.place)
        if self.file is None:
            with self.writing() as connection:
                upgrade(connection)
            return
        with hold(self.file.with_suffix(".lock"), what="the server's database"):
            with database_errors(self.place):
                engines.prepare_file(self.file)
            with self.writing() as connection:
                upgrade(connection)
            self.file.chmod(PRIVATE_FILE)


def open_server(config: Config) -> ServerDatabase:
    """Open the database that is configured. Raises like ``ServerDatabase.open_at``."""
    return ServerDatabase.open_at(place_of(config))


def has_records(config: Config) -> bool:
    """Whether there is a database to read: a file that exists, or a configured server."""
    file = place_of(config).file
    return file is None or file.is_file()


def check_revision(revision: str | None, place: DatabasePlace) -> None:
    """Raises ModelscanError for a database that a newer modelscan wrote."""
    if revision is None or revision in REVISIONS:
        return
    other = (
        f"another database: {CONFIGURED}" if place.file is None
        else "MODELSCAN_HOME=FOLDER for separate records"
    )  # fmt: skip
    raise ModelscanError(
        f"{place.shown} was written by a newer modelscan (revision {revision}; this one "
        f"supports up to {REVISIONS[-1]})",
        hint=f"use that release, or set {other}",
        code="store_newer",
    )


def upgrade(connection: sa.Connection, revision: str = "head") -> None:
    """Run Alembic up to a revision, in the caller's transaction."""
    from alembic import command
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", "modelscan.state.server:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def revision_of(connection: sa.Connection) -> str | None:
    """The revision that a database is at; None for a new one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    rows = connection.execute(sa.text("SELECT version_num FROM alembic_version")).fetchall()
    return str(rows[0][0]) if rows else None


def moment(connection: sa.Connection) -> float:
    """UNIX time by the database's clock: the same for all gateways on it."""
    if connection.dialect.name == "postgresql":
        now = sa.func.extract("epoch", sa.func.clock_timestamp())
        return float(connection.execute(sa.select(now)).scalar_one())
    return time.time()


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
