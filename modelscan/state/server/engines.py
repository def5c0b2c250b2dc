"""SQLAlchemy's engines of the two databases, with the same rules for transactions.

A writing transaction has the database's only write lock from its start in both: ``BEGIN
IMMEDIATE``, or an advisory lock. So code that reads and then writes needs no retries.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelscan.state.server.place import DatabasePlace

BUSY_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5
_WAL_KEPT_BYTES = 64 << 20
_FREE_PAGES = 4096  # kept for the next rows: 16 MiB
_WRITE_LOCK = 0x6D73_7277  # of all writers of one PostgreSQL database
# A client that stopped in the middle of a transaction must not keep the lock from the others.
_SESSION = {
    "lock_timeout": f"{BUSY_TIMEOUT_S:g}s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
}


def engine_of(place: DatabasePlace) -> sa.Engine:
    """The engine; nothing is connected yet."""
    return _postgres(place) if place.file is None else _sqlite(place.file)


def _sqlite(file: Path) -> sa.Engine:
    url = sa.URL.create("sqlite", database=str(file))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we begin transactions, not the driver
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")

    @sa.event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


def _postgres(place: DatabasePlace) -> sa.Engine:
    url = sa.make_url(place.url)
    if place.password is not None:
        url = url.set(password=place.password)
    arguments: dict[str, Any] = {"application_name": "modelscan"}
    if "connect_timeout" not in url.query:
        arguments["connect_timeout"] = CONNECT_TIMEOUT_S
    # A connection to a machine that is gone is noticed within seconds, not hours.
    arguments |= {"keepalives_idle": 10, "keepalives_interval": 5, "tcp_user_timeout": 15_000}
    engine = sa.create_engine(
        url, connect_args=arguments, pool_pre_ping=True, pool_size=4, max_overflow=8,
        pool_timeout=BUSY_TIMEOUT_S, hide_parameters=True, paramstyle="format",
    )  # fmt: skip

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            for name, value in _SESSION.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
        connection.commit()

    return engine


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection whose queries all see the same moment."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction with the write lock; committed at the end."""
    with (
        engine.connect() as connection,
        connection.execution_options(immediate=True).begin(),
    ):
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITE_LOCK)))
        yield connection


def prepare_file(file: Path) -> None:
    """Set what a SQLite file keeps: a log apart, and free pages that can be given back."""
    with contextlib.closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as plain:
        plain.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect in a new file only
        plain.execute("PRAGMA journal_mode = WAL")


def compact(file: Path) -> None:
    """Give free pages of a SQLite file back; those for the next rows stay."""
    with contextlib.closing(sqlite3.connect(file, timeout=BUSY_TIMEOUT_S)) as plain:
        free = int(plain.execute("PRAGMA freelist_count").fetchone()[0])
        if free > _FREE_PAGES:
            # A script runs it to its end; execute() would stop after the first page.
            plain.executescript(f"PRAGMA incremental_vacuum({free - _FREE_PAGES})")


def refresh_statistics(connection: sa.Connection, *tables: sa.Table) -> None:
    """What PostgreSQL's planner knows of tables, after many rows were written at once: its own
    refresh comes a minute later, and searches would be slow until then."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(table.name for table in tables)
        connection.execute(sa.text(f"ANALYZE {names}"))
