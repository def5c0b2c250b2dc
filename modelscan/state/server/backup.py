"""Backup and restore of the server's database, also from SQLite to PostgreSQL and back.

A backup is one moment of the database, also while gateways write to it. A restore is one
transaction: the tables are made at the backup's revision, filled, and then migrated.
"""

from __future__ import annotations

import base64
import contextlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.state.clock import text_of
from modelscan.state.server.audit import Actor, record_audit
from modelscan.state.server.backup_file import (
    SCHEMA,
    BackupHeader,
    BackupWriter,
    CheckedBackup,
    ColumnKind,
    checked_backup,
)
from modelscan.state.server.database import (
    ServerDatabase,
    check_revision,
    record_change,
    revision_of,
    upgrade,
)
from modelscan.state.server.keys import CHANGED as KEYS_CHANGED
from modelscan.state.server.keys import hash_key, replaced_hash_key
from modelscan.state.server.status import running_gateways

_NOT_KEPT = frozenset(("alembic_version", "gateways", "shares", "server_values"))
_OF_REQUESTS = frozenset(("receipts", "receipt_contents"))
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class BackupWritten:
    """A backup that was written. ``rows`` per table; ``sha256`` of its content."""

    file: str
    sha256: str
    size_bytes: int
    revision: str
    created_at: str
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class BackupRestored:
    """A restored backup. ``revision``: that of the backup; the database is at the newest."""

    file: str
    sha256: str
    database: str
    revision: str
    created_at: str
    rows: dict[str, int]


def backup(database: ServerDatabase, place: Path, *, receipts: bool = True) -> BackupWritten:
    """Write everything to a new file (in the folder ``place``, or ``place`` itself), mode 0600.

    Raises UsageError if the file exists.
    """
    from modelscan import __version__

    file = _file(place)
    secret = base64.b64encode(hash_key(database)).decode()
    with database.reading() as connection:
        tables = _tables(connection, receipts)
        kinds = {str(one.name): {str(c.name): _kind(c) for c in one.columns} for one in tables}
        header = BackupHeader(
            schema=SCHEMA, created_at=text_of(time.time()), modelscan=__version__,
            database=database.place.kind, revision=str(revision_of(connection)),
            hash_key=secret, tables=kinds,
        )  # fmt: skip
        with _new_file(file) as stream:
            writer = BackupWriter(stream, header)
            for table in tables:
                for row in _all(connection, table):
                    writer.row(str(table.name), list(row))
            digest = writer.finish()
    size = file.stat().st_size
    return BackupWritten(
        str(file), digest, size, header.revision, header.created_at, dict(writer.rows)
    )


def restore(database: ServerDatabase, file: Path, who: Actor) -> BackupRestored:
    """Replace everything in the database by a backup; where that fails, nothing is changed.

    Raises UsageError for a file that is no backup, ModelscanError for a damaged or newer one and
    while a gateway runs on the database.
    """
    found = checked_backup(file)
    check_backup_revision(found)
    secret = base64.b64decode(found.header.hash_key)
    with database.writing() as connection, replaced_hash_key(database, secret) as put:
        refuse_running(connection)
        _empty(connection)
        upgrade(connection, found.header.revision)
        _fill(connection, found)
        upgrade(connection)
        put(connection)
        record_change(connection, KEYS_CHANGED)
        target = found.file.name
        record_audit(connection, who, "server.restore", target, after=found.sha256)
    header = found.header
    return BackupRestored(
        str(file), found.sha256, database.place.shown, header.revision, header.created_at,
        found.rows,
    )  # fmt: skip


def check_backup_revision(found: CheckedBackup) -> None:
    """Raises ModelscanError for a backup of a newer modelscan."""
    from modelscan.state.server.place import DatabasePlace

    check_revision(found.header.revision, DatabasePlace(str(found.file)))


def is_used(database: ServerDatabase) -> bool:
    """Whether there are keys or receipts that a restore would delete."""
    with database.reading() as connection:
        tables = _tables(connection, receipts=True)
        used = (table for table in tables if table.name not in ("changes", "audit"))
        return any(connection.execute(sa.select(table).limit(1)).first() for table in used)


def refuse_running(connection: sa.Connection) -> None:
    """Raises ModelscanError while a gateway runs on the database."""
    running = running_gateways(connection)
    if running:
        one = running[0]
        more = f" and {len(running) - 1} more" if len(running) > 1 else ""
        raise ModelscanError(
            f"a gateway runs on this database: {one.address} (process {one.pid} on "
            f"{one.host}){more}",
            hint=f"kill {one.pid}   (on {one.host}; it ends after its requests), then try again",
            code="gateway_running",
        )


def _tables(connection: sa.Connection, receipts: bool) -> list[sa.Table]:
    """Every table that is kept, those first that others refer to."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    left = _NOT_KEPT if receipts else _NOT_KEPT | _OF_REQUESTS
    return [table for table in metadata.sorted_tables if table.name not in left]


def _kind(column: sa.Column[Any]) -> ColumnKind:
    if isinstance(column.type, sa.LargeBinary):
        return "bytes"
    if isinstance(column.type, sa.JSON):
        return "json"
    return "time" if isinstance(column.type, (sa.DateTime, sa.Date)) else "plain"


def _all(connection: sa.Connection, table: sa.Table) -> Iterator[sa.Row[Any]]:
    """All rows, in the order of the primary key, without having them in memory at once."""
    query = sa.select(table).order_by(*table.primary_key.columns)
    yield from connection.execution_options(yield_per=_BATCH).execute(query)


def _empty(connection: sa.Connection) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    metadata.drop_all(connection)


def _fill(connection: sa.Connection, found: CheckedBackup) -> None:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    for name, rows in found.batches(_BATCH):
        columns = list(found.header.tables[name])
        table = metadata.tables[name]
        for column in table.columns:
            if isinstance(column.type, sa.JSON):
                column.type = sa.JSON(none_as_null=True)
        connection.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in rows])
    if connection.dialect.name == "postgresql":
        _continue_counters(connection, metadata)


def _continue_counters(connection: sa.Connection, metadata: sa.MetaData) -> None:
    """The next row's number follows the largest one that was filled in."""
    for table in metadata.sorted_tables:
        for column in table.primary_key.columns:
            if isinstance(column.type, sa.Integer):
                counter = sa.func.pg_get_serial_sequence(table.name, column.name)
                name = connection.execute(sa.select(counter)).scalar()
                last = connection.execute(sa.select(sa.func.max(column))).scalar()
                if name is not None and last is not None:
                    connection.execute(sa.select(sa.func.setval(name, last)))


def _file(place: Path) -> Path:
    if place.is_dir():
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        place = place / f"modelscan-server-{stamp}.jsonl.gz"
    if not place.parent.is_dir():
        raise UsageError(
            f"there is no folder {place.parent}", hint=f"mkdir -p '{place.parent}'", code="no_file"
        )
    if place.exists():
        raise UsageError(
            f"{place} exists already", hint=f"modelscan server backup '{place.parent}'",
            code="file_exists",
        )  # fmt: skip
    return place


@contextlib.contextmanager
def _new_file(file: Path) -> Iterator[Any]:
    """A file that is there under its name only when it is complete."""
    with written_errors(file):
        stream = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed below, then renamed
            prefix=f".{file.name}.", suffix=".tmp", dir=file.parent, delete=False
        )
        try:
            with stream:
                yield stream
            Path(stream.name).rename(file)
        except BaseException:
            Path(stream.name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def written_errors(file: Path) -> Iterator[None]:
    """Errors of the file system (full, read-only) as ModelscanError."""
    try:
        yield
    except OSError as error:
        raise ModelscanError(
            f"cannot write {file}: {error.strerror or error}",
            hint="modelscan server backup FOLDER   (another one, with space)",
            code="file_system",
        ) from error
