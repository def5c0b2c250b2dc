"""This machine's own records: one SQLite file in WAL mode, shared by the rooms that have tables.

A room is a name and its numbered migrations; the file remembers how far each room is, so that a
room which a later release has changed is refused without closing the others. Repositories
(``state.store``, ``state.measurements``) are built on ``Database`` and know the tables.
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
from modelscan.state.files import EXPLAINED, PRIVATE_FILE, ensure_dir

_BUSY_TIMEOUT_S = 20.0
LAYOUT = 3
"""``user_version``: 1 and 2 were steps of the deployments alone; 3 has a version per room."""

Step = tuple[str, ...] | Callable[[sqlite3.Connection], None]


@dataclass(frozen=True, slots=True)
class Room:
    """The tables of one room. A step that was released is never edited."""

    name: str
    steps: tuple[Step, ...]


class Database:
    """An open connection; use it as a context manager. One thread uses it at a time."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    @classmethod
    def open(cls, file: Path, room: Room) -> Database:
        """Open or create the file, with this room's tables as this release wants them.

        Raises ModelscanError for one that is damaged or newer. On a full or read-only disk it can
        still be read; every change then raises.
        """
        ensure_dir(file.parent)
        with _explained(file):
            try:
                return cls(_connect(file, room), file)
            except sqlite3.OperationalError as error:
                if _reason(error) not in _NOT_WRITABLE:
                    raise
                return cls(_connect_to_read(file, room, error), file)

    @classmethod
    def look(cls, file: Path, room: Room) -> Database:
        """The file to read from; where there is none, an empty one that is written nowhere."""
        if file.exists():
            return cls.open(file, room)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(connection, room)
        return cls(connection, file)

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """Every row of a query; raises ModelscanError for a file that cannot be used."""
        with _explained(self._file):
            return self._connection.execute(sql, values).fetchall()

    def change(self, sql: str, *values: object) -> int:
        """How many rows a statement changed; sqlite3.IntegrityError is the caller's to explain."""
        with _explained(self._file):
            return self._connection.execute(sql, values).rowcount

    def close(self) -> None:
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


def version(connection: sqlite3.Connection, room: Room) -> int:
    """How many of the room's steps were applied."""
    layout = _layout(connection)
    if layout < LAYOUT:
        return layout if room.name == "deployments" else 0
    row = connection.execute("SELECT version FROM rooms WHERE name = ?", (room.name,)).fetchone()
    return int(row[0]) if row else 0


def _layout(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, room: Room) -> None:
    """Apply the missing steps, each in one transaction. Safe when several processes start it."""
    _transaction(connection, _to_layout_3)
    while version(connection, room) < len(room.steps):
        _transaction(connection, lambda open_: _next_step(open_, room))


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
    """The version of what was there becomes the version of the room it belongs to."""
    layout = _layout(connection)
    if layout >= LAYOUT:
        return
    connection.execute("CREATE TABLE rooms (name TEXT PRIMARY KEY, version INTEGER NOT NULL)")
    if layout:
        connection.execute("INSERT INTO rooms VALUES ('deployments', ?)", (layout,))
    connection.execute(f"PRAGMA user_version = {LAYOUT}")


def _next_step(connection: sqlite3.Connection, room: Room) -> None:
    number = version(connection, room)
    if number >= len(room.steps):
        return  # another process was quicker
    step = room.steps[number]
    if callable(step):
        step(connection)
    else:
        for statement in step:
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO rooms VALUES (?, ?)", (room.name, number + 1))


def _connect(file: Path, room: Room) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _prepare(connection, file, room)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(
    file: Path, room: Room, refusal: sqlite3.OperationalError
) -> sqlite3.Connection:
    """WAL needs files next to the database, also to read; without them, only what is in the file
    itself. Raises ``refusal`` where that is not all of it."""
    log = file.with_name(file.name + "-wal")
    if not file.is_file() or (log.is_file() and log.stat().st_size):
        raise refusal
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    if version(connection, room) != len(room.steps):
        connection.close()
        raise refusal
    return connection


def _prepare(connection: sqlite3.Connection, file: Path, room: Room) -> None:
    layout, applied = _layout(connection), version(connection, room)
    if layout > LAYOUT or applied > len(room.steps):
        raise ModelscanError(
            f"{file} was written by a newer modelscan (layout {layout}, {room.name} {applied}; "
            f"this one knows {LAYOUT} and {len(room.steps)})",
            hint="use that release, or MODELSCAN_HOME=FOLDER for records of this one's own",
            code="store_newer",
        )
    if layout < LAYOUT or applied < len(room.steps):
        _initialise(connection, file, room)
    connection.execute("PRAGMA synchronous = NORMAL")


def _initialise(connection: sqlite3.Connection, file: Path, room: Room) -> None:
    """Switching to WAL ignores the busy timeout, so the first commands take turns."""
    from modelscan.state.locks import hold

    with hold(file.with_suffix(".lock"), what="the store"):
        connection.execute("PRAGMA journal_mode = WAL")
        _migrate(connection, room)
        file.chmod(PRIVATE_FILE)


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise ModelscanError(
                f"the store {file} is busy (waited {_BUSY_TIMEOUT_S:g} s)",
                hint="wait for the other modelscan commands to finish, then try again",
                code="locked",
            ) from error
        raise ModelscanError(
            f"the store {file} cannot be used: {error}",
            hint=_remedy(file, error),
            code="store",
        ) from error


# SQLite's words for a disk that takes no more, a folder or a file that may not be written.
_NOT_WRITABLE = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
)
_LEAST_FREE_BYTES = 1 << 20


def _reason(error: sqlite3.Error) -> str:
    return str(error).partition(":")[0]


def _remedy(file: Path, error: sqlite3.Error) -> str:
    """A store that only cannot be written is never to be moved away."""
    if _reason(error) not in _NOT_WRITABLE:
        return f"mv '{file}' '{file}.broken'   (modelscan then starts an empty one)"
    if shutil.disk_usage(file.parent).free < _LEAST_FREE_BYTES:
        return EXPLAINED[errno.ENOSPC]
    return EXPLAINED[errno.EROFS] if not os.access(file.parent, os.W_OK) else "modelscan doctor"
