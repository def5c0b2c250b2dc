"""Where the index files are, of which format and release, and the kinds of names in them."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.state.bundled import bundled_dir

if TYPE_CHECKING:
    from modelscan.state.paths import Paths

FORMAT = "7"  # of the file: another number is another form
FILE_NAME = "index.sqlite3"


class NameKind(IntEnum):
    """The kinds of names that the index keeps (column ``name.kind``), best first."""

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


def stamp_file(paths: Paths) -> Path:
    """Says with which bundle the synced index was made."""
    return paths.catalog_dir / "built.txt"
