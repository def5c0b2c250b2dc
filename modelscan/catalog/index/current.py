"""Opens the current index, after rebuilding it if its inputs have changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.catalog.index.layout import (
    FORMAT,
    bundle_stamp,
    bundled_index,
    stamp_file,
    synced_index,
)
from modelscan.catalog.index.read import Index
from modelscan.core.errors import ModelscanError

if TYPE_CHECKING:
    from modelscan.state.paths import Paths


def open_index(paths: Paths) -> Index:
    """The user's synced index if it is usable, else the bundled one.

    It is first rebuilt if overlay files have changed since, or if another release built it.
    """
    if paths.overlay_dir.is_dir():
        from modelscan.catalog.index.publish import ensure_overlay  # only where needed: start-up

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


def _of_this_release(paths: Paths) -> bool:
    try:
        return stamp_file(paths).read_text() == bundle_stamp()
    except (OSError, ValueError):
        return False


def _usable(file: Path) -> Index | None:
    """The opened index; None if it is missing, damaged, not an index, or of another format."""
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
