"""State folders of earlier versions as files of the tests, without the paths of the machine on
which they were written.
"""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

RECORDED = Path(__file__).resolve().parent.parent / "tests" / "upgrade" / "states"
_GROUPS = "groups.json"
_DATABASE = ".sqlite3"
_NOT_KEPT = (".lock", ".log", ".log.start")


@dataclass(frozen=True, slots=True)
class Places:
    """What has another path elsewhere: the state folder, the program's, and its Python."""

    home: Path
    source: Path
    python: Path

    def marked(self, text: str) -> str:
        """The text with a mark for each path, the longest first."""
        pairs = {str(getattr(self, one.name)): _mark(one.name) for one in fields(self)}
        for path in sorted(pairs, key=len, reverse=True):
            text = text.replace(path, pairs[path])
        return text

    def unmarked(self, text: str) -> str:
        """The text with these paths."""
        for one in fields(self):
            text = text.replace(_mark(one.name), str(getattr(self, one.name)))
        return text


def _mark(name: str) -> str:
    return f"@{name.upper()}@"


def pack(home: Path, archive: Path, places: Places, groups: frozenset[str]) -> None:
    """Write a state folder into an archive: the same bytes for the same folder."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    files = {_GROUPS: json.dumps(sorted(groups)).encode()}
    for file in sorted(one for one in home.rglob("*") if one.is_file()):
        if file.name.endswith(_NOT_KEPT):
            continue
        _rewrite(file, places.marked)
        files[file.relative_to(home).as_posix()] = file.read_bytes()
    with (
        gzip.GzipFile(archive, "wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as tar,
    ):
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))


def unpack(archive: Path, places: Places) -> frozenset[str]:
    """Make the state folder again at ``places.home``; returns the groups given to ``pack``."""
    with tarfile.open(archive) as tar:
        for entry in tar:
            stream = tar.extractfile(entry)
            assert stream is not None
            file = places.home / entry.name
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.write_bytes(stream.read())
            file.chmod(0o600)
            _rewrite(file, places.unmarked)
    groups = places.home / _GROUPS
    names: list[str] = json.loads(groups.read_text(encoding="utf-8"))
    groups.unlink()
    return frozenset(names)


def _rewrite(file: Path, change: Callable[[str], str]) -> None:
    """Change the texts of a file, of a database's text values."""
    if file.name.endswith(_DATABASE):
        with closing(sqlite3.connect(file)) as connection, connection:
            _rewrite_database(connection, change)
        return
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # the key of hashes
        return
    file.write_text(change(text), encoding="utf-8")


def _rewrite_database(connection: sqlite3.Connection, change: Callable[[str], str]) -> None:
    connection.create_function("changed", 1, change, deterministic=True)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        for column in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
            name = column[1]
            connection.execute(
                f'UPDATE "{table}" SET "{name}" = changed("{name}") '
                f'WHERE typeof("{name}") = \'text\' AND changed("{name}") <> "{name}"'
            )
