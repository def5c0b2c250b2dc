"""Reads the catalog index: names to rows, rows to models, states of the sources."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelscan.catalog.index.layout import NameKind

if TYPE_CHECKING:  # importing the dataclasses costs a tenth of a search
    from modelscan.catalog.search.use_cases import Score
    from modelscan.core.model import Model


class SourceState(NamedTuple):
    """A row of ``catalog sources``: ``models`` with a fact from it, ``entries`` in its own data."""

    name: str
    state: str  # bundled | live | stale | failed
    retrieved_at: str | None
    models: int
    entries: int
    origin: str | None
    licence: str | None
    error: str | None


class Index:
    """An open, read-only index. Use ``open_index``. For one thread."""

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
        """Close the file."""
        self.connection.close()

    def meta(self, key: str) -> Any:
        """The value of a key in the table ``meta``, or None."""
        row = self.connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return row[0] if row else None

    def count(self) -> int:
        """The number of models."""
        return int(self.meta("models"))

    def sources(self) -> list[SourceState]:
        """The state of each source, by name."""
        rows = self.connection.execute("SELECT * FROM source ORDER BY name")
        return [SourceState(*row) for row in rows]

    def by_name(self, key: str, kinds: Iterable[int] | None = None) -> list[tuple[int, int]]:
        """``(kind, row)`` of all models with that name, best kind first, then by popularity."""
        plain = key.lower().encode("utf-8", "replace").decode()  # an argument may be any bytes
        rows = self.connection.execute(
            "SELECT kind, model FROM name WHERE key=? ORDER BY kind, model", (plain,)
        ).fetchall()
        allowed = None if kinds is None else set(kinds)
        return [(kind, row) for kind, row in rows if allowed is None or kind in allowed]

    def beginning(self, text: str, limit: int) -> list[str]:
        """Short names and ids (where ``text`` has a slash) that begin so, most popular first."""
        kind = NameKind.ID if "/" in text else NameKind.SHORT
        rows = self.connection.execute(
            "SELECT key FROM name WHERE key >= ? AND key < ? AND kind = ? "
            "GROUP BY key ORDER BY min(model) LIMIT ?",
            (text, text + "\U0010ffff", kind, limit),
        )
        return [row[0] for row in rows]

    def tasks(self) -> list[str]:
        """The tasks of all models, each once."""
        rows = self.connection.execute("SELECT DISTINCT task FROM model WHERE task IS NOT NULL")
        return sorted(row[0] for row in rows)

    def modalities(self) -> list[str]:
        """The input and output modalities of all models, each once."""
        rows = self.connection.execute("SELECT DISTINCT modalities FROM model")
        return sorted({word for row in rows for word in (row[0] or "").split(",") if word})

    def repositories(self) -> dict[str, int]:
        """All repositories in lower case, with the model's downloads (0 if unknown)."""
        rows = self.connection.execute(
            "SELECT n.key, max(coalesce(m.downloads, 0)) FROM name n JOIN model m "
            "ON m.rowid = n.model WHERE n.kind IN (?, ?) GROUP BY n.key",
            (NameKind.REPOSITORY, NameKind.WEIGHTS),
        )
        return dict(rows)

    def is_provider(self, name: str) -> bool:
        """True if any offering is from this provider."""
        start = name.lower() + "/"
        row = self.connection.execute(
            "SELECT 1 FROM name WHERE key >= ? AND key < ? AND kind = ? LIMIT 1",
            (start, start + "\U0010ffff", NameKind.OFFERING),
        ).fetchone()
        return row is not None

    def model(self, row: int) -> Model:
        """The complete model of a row."""
        detail = self.connection.execute("SELECT body FROM detail WHERE rowid=?", (row,)).fetchone()
        if self._dictionary is None:
            self._dictionary = bytes(self.meta("dictionary"))
        unpack = zlib.decompressobj(-15, zdict=self._dictionary)
        from modelscan.catalog.records import model_from

        return model_from(json.loads(unpack.decompress(detail[0])))

    def ids(self, rows: Iterable[int]) -> list[str]:
        """The ids of these rows, in the same order."""
        numbers = list(rows)
        marks = ",".join("?" * len(numbers))
        query = f"SELECT rowid, id FROM model WHERE rowid IN ({marks})"  # noqa: S608 - only placeholders
        id_by_row = dict(self.connection.execute(query, numbers).fetchall())
        return [id_by_row[row] for row in numbers]

    def scores(self, name: str) -> list[tuple[int, Score]]:
        """``(row, score)`` of all models with a score of that benchmark."""
        from modelscan.catalog.search.use_cases import Score

        rows = self.connection.execute(
            "SELECT model, name, value, date, source FROM score WHERE name=?", (name,)
        )
        return [(row[0], Score(*row[1:])) for row in rows]

    def with_word(self, word: str) -> frozenset[int]:
        """The rows of models whose kind, tags or license contain this word."""
        rows = self.connection.execute(
            "SELECT rowid FROM text WHERE text MATCH ?", (f'kind : "{word}"',)
        )
        return frozenset(row[0] for row in rows)

    def with_weights(self, rows: Iterable[int]) -> list[int]:
        """Those of these rows that have weights to download, in the same order."""
        numbers = list(rows)
        marks = ",".join("?" * len(numbers))
        query = f"SELECT rowid FROM model WHERE variants > 0 AND rowid IN ({marks})"  # noqa: S608
        having = {row[0] for row in self.connection.execute(query, numbers)}
        return [row for row in numbers if row in having]

    def all_ids(self) -> list[str]:
        """All model ids, the most popular first."""
        return [row[0] for row in self.connection.execute("SELECT id FROM model ORDER BY rowid")]
