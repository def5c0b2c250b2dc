"""Reading the catalog index: names to rows, rows to models, the sources' state."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelscan.core.errors import ModelscanError
from modelscan.state.bundled import bundled_dir

if TYPE_CHECKING:  # importing the dataclasses costs a tenth of a search
    from modelscan.core.model import Model
    from modelscan.state.paths import Paths

FORMAT = "7"  # of the file: another number is another form
FILE_NAME = "index.sqlite3"
# The kinds of names that it keeps (column ``name.kind``).
ID, SHORT, ALIAS, REPOSITORY, WEIGHTS, OFFERING, MODELSCOPE_ID = range(7)
SPELLING, DISPLAY, HOSTED = 7, 8, 9


class SourceState(NamedTuple):
    """A row of ``catalog sources``: ``models`` with a fact from it, ``entries`` of its own."""

    name: str
    state: str  # bundled | live | stale | failed
    retrieved_at: str | None
    models: int
    entries: int
    origin: str | None
    licence: str | None
    error: str | None


class Index:
    """An open index. Use ``open_index``; it is read-only and may be shared within a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        self.connection = sqlite3.connect(uri, uri=True)
        self._dictionary: bytes | None = None

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def meta(self, key: str) -> Any:
        row = self.connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return row[0] if row else None

    def count(self) -> int:
        return int(self.meta("models"))

    def sources(self) -> list[SourceState]:
        rows = self.connection.execute("SELECT * FROM source ORDER BY name")
        return [SourceState(*row) for row in rows]

    def by_name(self, key: str, kinds: Iterable[int] | None = None) -> list[tuple[int, int]]:
        """``(kind, row)`` of every model with that name, best kind first, popular first."""
        plain = key.lower().encode("utf-8", "replace").decode()  # an argument may be any bytes
        rows = self.connection.execute(
            "SELECT kind, model FROM name WHERE key=? ORDER BY kind, model", (plain,)
        ).fetchall()
        wanted = None if kinds is None else set(kinds)
        return [(kind, row) for kind, row in rows if wanted is None or kind in wanted]

    def tasks(self) -> list[str]:
        """What the models are for, each once."""
        rows = self.connection.execute("SELECT DISTINCT task FROM model WHERE task IS NOT NULL")
        return sorted(row[0] for row in rows)

    def repositories(self) -> dict[str, int]:
        """Every repository of a model, lower case, with the model's downloads (0 when unknown)."""
        rows = self.connection.execute(
            "SELECT n.key, max(coalesce(m.downloads, 0)) FROM name n JOIN model m "
            "ON m.rowid = n.model WHERE n.kind IN (?, ?) GROUP BY n.key",
            (REPOSITORY, WEIGHTS),
        )
        return dict(rows)

    def is_provider(self, name: str) -> bool:
        """Some offering is this provider's."""
        start = name.lower() + "/"
        row = self.connection.execute(
            "SELECT 1 FROM name WHERE key >= ? AND key < ? AND kind = 5 LIMIT 1",
            (start, start + "\U0010ffff"),
        ).fetchone()
        return row is not None

    def model(self, row: int) -> Model:
        """Everything about one model."""
        found = self.connection.execute("SELECT body FROM detail WHERE rowid=?", (row,)).fetchone()
        if self._dictionary is None:
            self._dictionary = bytes(self.meta("dictionary"))
        unpack = zlib.decompressobj(-15, zdict=self._dictionary)
        from modelscan.catalog.records import model_from

        return model_from(json.loads(unpack.decompress(found[0])))

    def ids(self, rows: Iterable[int]) -> list[str]:
        wanted = list(rows)
        marks = ",".join("?" * len(wanted))
        query = f"SELECT rowid, id FROM model WHERE rowid IN ({marks})"  # noqa: S608 - only marks
        found = dict(self.connection.execute(query, wanted).fetchall())
        return [found[row] for row in wanted]

    def all_ids(self) -> list[str]:
        """Every model's id, the most used first."""
        return [row[0] for row in self.connection.execute("SELECT id FROM model ORDER BY rowid")]


def bundled_index() -> Path:
    return bundled_dir() / FILE_NAME


def synced_index(paths: Paths) -> Path:
    return paths.catalog_dir / FILE_NAME


def bundle_stamp() -> str:
    """Which bundle this is: a synced index is made again when another release brings another."""
    try:
        stat = bundled_index().stat()
    except OSError:
        return FORMAT
    return f"{FORMAT} {stat.st_size} {stat.st_mtime_ns}"


def open_index(paths: Paths) -> Index:
    """The user's synced index where there is a usable one, else the bundled one.

    It is made anew first where overlay files changed since, or where it is another release's.
    """
    if paths.overlay_dir.is_dir():
        from modelscan.catalog.index.publish import ensure_overlay

        ensure_overlay(paths)
    if synced_index(paths).is_file() and not _of_this_release(paths):
        from modelscan.catalog.index.publish import remake

        remake(paths)
    for file in (synced_index(paths), bundled_index()):
        index = _usable(file)
        if index is not None:
            return index
    raise ModelscanError(
        f"there is no catalog index at {bundled_index()}",
        hint="modelscan catalog sync",
        code="no_catalog",
    )


def stamp_file(paths: Paths) -> Path:
    """Says with which bundle the synced index was made."""
    return paths.catalog_dir / "built.txt"


def _of_this_release(paths: Paths) -> bool:
    try:
        return stamp_file(paths).read_text() == bundle_stamp()
    except (OSError, ValueError):
        return False


def _usable(file: Path) -> Index | None:
    """None for a missing, foreign or damaged file, or one of another version's form."""
    if not file.is_file():
        return None
    index = None
    try:
        index = Index(file)
        if index.meta("format") == FORMAT:
            return index
    except sqlite3.DatabaseError:
        pass
    if index is not None:
        index.close()
    return None
