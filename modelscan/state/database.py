"""This machine's own records: one SQLite file in WAL mode, shared by several packages.

Each package has a name and numbered migrations; the file stores how many of them were applied. A
package changed by a later release is refused, the others stay usable. Repositories
(``state.store``) are built on ``Database`` and define the tables.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from modelscan.core.errors import ModelscanError
from modelscan.state.files import PRIVATE_FILE, ensure_dir, remedy

_BUSY_TIMEOUT_S = 20.0
LAYOUT = 3
"""``user_version``: 1 and 2 were migrations of the deployments only; 3 has a version per
package.
"""

Step = tuple[str, ...] | Callable[[sqlite3.Connection], None]


@dataclass(frozen=True, slots=True)
class Migrations:
    """The tables of one package, as migrations. A released step is never edited."""

    name: str
    steps: tuple[Step, ...]


class Database:
    """An open connection; use it as a context manager. For one thread at a time."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    @classmethod
    def open(cls, file: Path, migrations: Migrations) -> Database:
        """Open or create the file and apply this package's missing migrations.

        Raises ModelscanError if the file is damaged or newer. On a full or read-only disk it can
        still be read; every change then raises.
        """
        ensure_dir(file.parent)
        with explained(file):
            try:
                return cls(_connect(file, migrations), file)
            except sqlite3.OperationalError as error:
                if _reason(error) not in _NOT_WRITABLE:
                    raise
                return cls(_connect_to_read(file, migrations, error), file)

    @classmethod
    def look(cls, file: Path, migrations: Migrations) -> Database:
        """Open the file for reading; if it does not exist, an empty database in memory."""
        if file.exists():
            return cls.open(file, migrations)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(connection, migrations)
        return cls(connection, file)

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a query. Raises ModelscanError if the file is unusable."""
        with explained(self._file):
            return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, *values: object) -> int:
        """Execute a statement and return the number of changed rows.

        sqlite3.IntegrityError is passed to the caller; raises ModelscanError if the file is
        unusable.
        """
        with explained(self._file):
            return self._connection.execute(sql, values).rowcount

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def version(connection: sqlite3.Connection, migrations: Migrations) -> int:
    """The number of the package's migrations that were applied."""
    layout = _layout(connection)
    if layout < LAYOUT:
        return layout if migrations.name == "deployments" else 0
    row = connection.execute(
        "SELECT version FROM rooms WHERE name = ?", (migrations.name,)
    ).fetchone()
    return int(row[0]) if row else 0


def _layout(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, migrations: Migrations) -> None:
    """Apply the missing migrations, each in one transaction. Safe for concurrent processes."""
    _transaction(connection, _to_layout_3)
    while version(connection, migrations) < len(migrations.steps):
        _transaction(connection, lambda open_: _next_step(open_, migrations))


def _transaction(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], None]
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        work(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _to_layout_3(connection: sqlite3.Connection) -> None:
    """Move the file's single version number to the package ``deployments``."""
    layout = _layout(connection)
    if layout >= LAYOUT:
        return
    connection.execute("CREATE TABLE rooms (name TEXT PRIMARY KEY, version INTEGER NOT NULL)")
    if layout:
        connection.execute("INSERT INTO rooms VALUES ('deployments', ?)", (layout,))
    connection.execute(f"PRAGMA user_version = {LAYOUT}")


def _next_step(connection: sqlite3.Connection, migrations: Migrations) -> None:
    number = version(connection, migrations)
    if number >= len(migrations.steps):
        return  # another process has applied it
    step = migrations.steps[number]
    if callable(step):
        step(connection)
    else:
        for statement in step:
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO rooms VALUES (?, ?)", (migrations.name, number + 1))


def _connect(file: Path, migrations: Migrations) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _prepare(connection, file, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(
    file: Path, migrations: Migrations, refusal: sqlite3.OperationalError
) -> sqlite3.Connection:
    """Open the file read-only, without the WAL files that even readers need.

    Raises ``refusal`` if the file itself is incomplete: a WAL with data, or missing migrations.
    """
    log = file.with_name(file.name + "-wal")
    if not file.is_file() or (log.is_file() and log.stat().st_size):
        raise refusal
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    if version(connection, migrations) != len(migrations.steps):
        connection.close()
        raise refusal
    return connection


def _prepare(connection: sqlite3.Connection, file: Path, migrations: Migrations) -> None:
    layout, applied = _layout(connection), version(connection, migrations)
    if layout > LAYOUT or applied > len(migrations.steps):
        raise ModelscanError(
            f"{file} was written by a newer modelscan (layout {layout}, "
            f"{migrations.name} {applied}; this one supports {LAYOUT} and {len(migrations.steps)})",
            hint="use that release, or set MODELSCAN_HOME=FOLDER for separate records",
            code="store_newer",
        )
    if layout < LAYOUT or applied < len(migrations.steps):
        _initialise(connection, file, migrations)
    connection.execute("PRAGMA synchronous = NORMAL")


def _initialise(connection: sqlite3.Connection, file: Path, migrations: Migrations) -> None:
    """Create or migrate the tables under a lock, because switching to WAL ignores the busy
    timeout.
    """
    from modelscan.state.locks import hold

    with hold(file.with_suffix(".lock"), what="the store"):
        connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, migrations)
        file.chmod(PRIVATE_FILE)


@contextlib.contextmanager
def explained(file: Path) -> Iterator[None]:
    """Turn SQLite's errors about this file into a ModelscanError; IntegrityError passes."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise ModelscanError(
                f"the store {file} is busy (waited {_BUSY_TIMEOUT_S:g} s)",
                hint="wait for the other modelscan commands to finish, then try again",
                code="locked",
            ) from error
        raise ModelscanError(
            f"the store {file} cannot be used: {_cause(file, error)}",
            hint=_remedy(file, error),
            code="store",
        ) from error


# SQLite's messages for a full disk, and for a folder or file without write permission.
_NOT_WRITABLE = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
)
_MIN_FREE_BYTES = 1 << 20


def _cause(file: Path, error: sqlite3.Error) -> str:
    """SQLite's message; a full disk by its name, since the file is then open for reading only."""
    full = _reason(error) in _NOT_WRITABLE and _is_full(file.parent)
    return f"no space is left in {file.parent}" if full else str(error)


def _is_full(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free < _MIN_FREE_BYTES


def _reason(error: sqlite3.Error) -> str:
    return str(error).partition(":")[0]


def _remedy(file: Path, error: sqlite3.Error) -> str:
    """The hint for an error. A store that is only unwritable must not be moved away."""
    if _reason(error) not in _NOT_WRITABLE:
        return f"mv '{file}' '{file}.broken'   (modelscan then starts an empty one)"
    if _is_full(file.parent):
        return remedy(errno.ENOSPC, file)
    if not os.access(file.parent, os.W_OK):
        return remedy(errno.EROFS, file)
    return "modelscan doctor"
