"""Earlier revisions of the routing file: kept before each change, and restored by ``undo``.

They lie next to the file, in a folder of their own, one file per revision and an index. Hand edits
are kept too: what a change replaces is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.jsonform import to_json
from modelscan.state.clock import now_text
from modelscan.state.files import write_atomic

KEPT = 50


@dataclass(frozen=True, slots=True)
class Revision:
    """The file as it was until ``replaced_at``; ``change``: the command that replaced it."""

    number: int
    replaced_at: str
    change: str
    size_bytes: int


def folder_of(path: Path) -> Path:
    """Where the revisions of a routing file lie."""
    return path.with_name(f".{path.name}.history")


def revisions(path: Path) -> tuple[Revision, ...]:
    """The kept revisions, the oldest first; a broken index has none."""
    try:
        rows = json.loads((folder_of(path) / "index.json").read_text(encoding="utf-8"))
        return tuple(_revision(row) for row in rows)
    except (OSError, ValueError, TypeError, KeyError):
        return ()


def _revision(row: Any) -> Revision:
    return Revision(
        int(row["number"]), str(row["replaced_at"]), str(row["change"]), int(row["size_bytes"])
    )


def keep(path: Path, text: str, change: str) -> None:
    """Keep a text that is about to be replaced; the oldest beyond ``KEPT`` is deleted."""
    folder = folder_of(path)
    folder.mkdir(exist_ok=True, mode=0o700)
    rows = list(revisions(path))
    number = rows[-1].number + 1 if rows else 1
    write_atomic(_file(path, number), text)
    rows.append(Revision(number, now_text(), change, len(text.encode())))
    _write(path, rows[-KEPT:])
    for old in rows[:-KEPT]:
        _file(path, old.number).unlink(missing_ok=True)


def text_of(path: Path, number: int) -> str | None:
    """The text of a revision; None: it is not kept."""
    try:
        with open(_file(path, number), encoding="utf-8", newline="") as stream:
            return stream.read()
    except OSError:
        return None


def forget_from(path: Path, number: int) -> None:
    """Forget a revision and all later ones: the file is that revision again."""
    rows = revisions(path)
    _write(path, [row for row in rows if row.number < number])
    for row in rows:
        if row.number >= number:
            _file(path, row.number).unlink(missing_ok=True)


def _file(path: Path, number: int) -> Path:
    return folder_of(path) / f"{number:06d}.yaml"


def _write(path: Path, rows: list[Revision]) -> None:
    write_atomic(folder_of(path) / "index.json", json.dumps(to_json(rows), indent=1) + "\n")
