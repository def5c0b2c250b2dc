"""Reading the catalog index: names to rows, rows to models, the sources' state."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from modelscan.catalog.index.layout import NameKind

if TYPE_CHECKING:  # importing the dataclasses costs a tenth of a search
    from modelscan.core.model import Model


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
            (NameKind.REPOSITORY, NameKind.WEIGHTS),
        )
        return dict(rows)

    def is_provider(self, name: str) -> bool:
        """Some offering is this provider's."""
        start = name.lower() + "/"
        row = self.connection.execute(
            "SELECT 1 FROM name WHERE key >= ? AND key < ? AND kind = ? LIMIT 1",
            (start, start + "\U0010ffff", NameKind.OFFERING),
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
