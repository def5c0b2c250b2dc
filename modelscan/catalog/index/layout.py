"""Paths, format and release of the index files, and the kinds of names in them."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.state.bundled import bundled_dir

if TYPE_CHECKING:
    from modelscan.state.paths import Paths

FORMAT = "8"  # of the file
FILE_NAME = "index.sqlite3"


class NameKind(IntEnum):
    """The kinds of names in the index (column ``name.kind``), best match first."""

    ID = 0
    SHORT = 1
    ALIAS = 2
    REPOSITORY = 3
    WEIGHTS = 4
    OFFERING = 5
    MODELSCOPE_ID = 6
    SPELLING = 7
    DISPLAY = 8
    HOSTED = 9


def bundled_index() -> Path:
    """The path of the bundled index."""
    return bundled_dir() / FILE_NAME


def synced_index(paths: Paths) -> Path:
    """The path of the index built by ``catalog sync``."""
    return paths.catalog_dir / FILE_NAME


def bundle_stamp() -> str:
    """Identifies the bundled index: a synced index is rebuilt if the bundle changes."""
    try:
        stat = bundled_index().stat()
    except OSError:
        return FORMAT
    return f"{FORMAT} {stat.st_size} {stat.st_mtime_ns}"


def stamp_file(paths: Paths) -> Path:
    """The file with the stamp of the bundle that the synced index was built with."""
    return paths.catalog_dir / "built.txt"
