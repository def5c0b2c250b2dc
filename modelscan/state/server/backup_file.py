"""The file of a backup: JSON Lines in gzip, the same for SQLite and PostgreSQL.

First line: ``schema``, ``revision``, ``tables`` {name: {column: kind}}, the secret of the keys.
Then one line per row, ``["table", [values]]``; bytes are base64. Last line: ``end`` with the number
of rows per table and ``sha256`` of everything before it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from modelscan.core.errors import ModelscanError, UsageError

SCHEMA = "modelscan.server.backup/1"
_LONGEST_LINE = 256 << 20
_LEVEL = 5
ColumnKind = Literal["plain", "bytes", "json", "time"]


class BackupHeader(msgspec.Struct, kw_only=True):
    """The first line. Times are RFC 3339; ``hash_key`` is base64."""

    schema: str
    created_at: str
    modelscan: str
    database: str
    revision: str
    hash_key: str
    tables: dict[str, dict[str, ColumnKind]]


class BackupEnd(msgspec.Struct, kw_only=True):
    """The last line."""

    rows: dict[str, int]
    sha256: str
    end: bool = True


@dataclass(frozen=True, slots=True)
class CheckedBackup:
    """A file whose hash is right."""

    file: Path
    header: BackupHeader
    rows: dict[str, int]
    sha256: str

    def batches(self, most: int) -> Iterator[tuple[str, list[list[Any]]]]:
        """The rows, decoded, in order: a table and at most so many of its rows."""
        table, rows = "", list[list[Any]]()
        for name, values in _rows(self.file):
            if rows and (name != table or len(rows) >= most):
                yield table, rows
                rows = []
            table = name
            kinds = self.header.tables[name].values()
            rows.append([_decoded(v, kind) for v, kind in zip(values, kinds, strict=True)])
        if rows:
            yield table, rows


class BackupWriter:
    """Writes lines and counts them; ``finish`` writes the last one."""

    def __init__(self, stream: IO[bytes], header: BackupHeader) -> None:
        self._out = gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=_LEVEL, mtime=0)
        self._hash = hashlib.sha256()
        self._header = header
        self.rows: Counter[str] = Counter(dict.fromkeys(header.tables, 0))
        self._line(msgspec.json.encode(header))

    def row(self, table: str, values: list[Any]) -> None:
        """One row, in the order of the header's columns."""
        kinds = self._header.tables[table].values()
        encoded = [_encoded(v, kind) for v, kind in zip(values, kinds, strict=True)]
        self._line(msgspec.json.encode([table, encoded]))
        self.rows[table] += 1

    def finish(self) -> str:
        """The end; returns the hash."""
        digest = self._hash.hexdigest()
        end = BackupEnd(rows=dict(self.rows), sha256=digest)
        self._out.write(msgspec.json.encode(end) + b"\n")
        self._out.close()
        return digest

    def _line(self, data: bytes) -> None:
        self._hash.update(data + b"\n")
        self._out.write(data + b"\n")


def checked_backup(file: Path) -> CheckedBackup:
    """Read a file to its end and compare its hash.

    Raises UsageError for something else than a backup, ModelscanError for a damaged one.
    """
    lines = _lines(file)
    header = _header(file, next(lines, b""))
    seen, before = hashlib.sha256(), b""
    count: Counter[str] = Counter(dict.fromkeys(header.tables, 0))
    first = True
    for line in _lines(file):
        if before:
            seen.update(before)
            if not first:
                count[_table(file, before, header)] += 1
            first = False
        before = line
    end = _end(file, before)
    if end.sha256 != seen.hexdigest() or end.rows != dict(count):
        raise _damaged(file, "its hash is not the one that was written")
    return CheckedBackup(file, header, end.rows, end.sha256)


def _header(file: Path, line: bytes) -> BackupHeader:
    try:
        header = msgspec.json.decode(line, type=BackupHeader)
    except msgspec.DecodeError:
        header = None
    if header is None or not header.schema.startswith("modelscan.server.backup/"):
        raise UsageError(
            f"{file} is not a backup of modelscan's server", hint="modelscan server backup FILE"
        )
    if header.schema != SCHEMA:
        raise ModelscanError(
            f"{file} was written by a newer modelscan ({header.schema}; this one reads {SCHEMA})",
            hint="restore it with that release",
            code="store_newer",
        )
    return header


def _table(file: Path, line: bytes, header: BackupHeader) -> str:
    try:
        name, values = msgspec.json.decode(line, type=tuple[str, list[Any]])
    except msgspec.DecodeError:
        raise _damaged(file, "a line is not a row") from None
    if name not in header.tables or len(values) != len(header.tables[name]):
        raise _damaged(file, f"a row does not fit the table {name}")
    return name


def _end(file: Path, line: bytes) -> BackupEnd:
    try:
        return msgspec.json.decode(line, type=BackupEnd)
    except msgspec.DecodeError:
        raise _damaged(file, "its end is missing") from None


def _rows(file: Path) -> Iterator[tuple[str, list[Any]]]:
    lines = _lines(file)
    next(lines)
    before = b""
    for line in lines:
        if before:
            yield msgspec.json.decode(before, type=tuple[str, list[Any]])
        before = line


def _lines(file: Path) -> Iterator[bytes]:
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise UsageError(f"{file} {what}", hint=f"ls -l '{file.parent}'", code="no_file")
    try:
        with gzip.open(file, "rb") as stream:
            while line := stream.readline(_LONGEST_LINE):
                yield line
    except (EOFError, zlib.error) as error:
        raise _damaged(file, str(error)) from error
    except gzip.BadGzipFile:
        raise UsageError(
            f"{file} is not a backup of modelscan's server", hint="modelscan server backup FILE"
        ) from None
    except OSError as error:
        raise ModelscanError(
            f"cannot read {file}: {error.strerror}", hint=f"ls -l '{file}'", code="file_system"
        ) from error


def _damaged(file: Path, why: str) -> ModelscanError:
    return ModelscanError(
        f"{file} is damaged: {why}; nothing was changed",
        hint=f"take another backup, or copy it again: ls -l '{file.parent}'",
        code="damaged_backup",
    )


def _encoded(value: Any, kind: ColumnKind) -> Any:
    if value is None or kind in ("plain", "json"):
        return value
    return base64.b64encode(value).decode() if kind == "bytes" else value.isoformat()


def _decoded(value: Any, kind: ColumnKind) -> Any:
    if value is None or kind in ("plain", "json"):
        return value
    return base64.b64decode(value) if kind == "bytes" else datetime.fromisoformat(value)
