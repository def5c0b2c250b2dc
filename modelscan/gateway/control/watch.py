"""Notices within half a second that the routing file or a key file changed, and the keys, or the
results of benchmarks.

Files and the database are watched apart: one that does not answer delays nothing of the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from modelscan.bench.samples import CHANGED as SAMPLES_CHANGED
from modelscan.registry.events import CHANGED as REGISTRY_CHANGED
from modelscan.state.paths import expand
from modelscan.state.server.database import ServerDatabase, change_number
from modelscan.state.server.keys import CHANGED as KEYS_CHANGED
from modelscan.traces.choices import CHANGED as TRACES_CHANGED

TICK_S = 0.25
_FRESH_S = 2.0  # a file changed so recently may change again within its time stamp's resolution


class FileStamp(NamedTuple):
    """Time, size and inode (or the error's number), and the content of a file just changed."""

    status: tuple[int | None, ...]
    content: bytes | None

    def differs(self, other: FileStamp) -> bool:
        """Whether the file changed between the two."""
        if self.status != other.status:
            return True
        both = self.content is not None and other.content is not None
        return both and self.content != other.content


class Watch:
    """Compares the files that are there with what was there at the last call."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._files: dict[Path, FileStamp] = {}

    def changed(self, references: Iterable[str]) -> bool:
        """Whether something changed since the last call; ``references`` are those of secrets."""
        files = {file: _stamp(file) for file in (self._file, *key_files(references))}
        before, self._files = self._files, files
        return any(before[file].differs(stamp) for file, stamp in files.items() if file in before)


class KeyWatch:
    """Compares the numbers of changes of keys, of benchmark results, of the registry and of what is
    recorded with those at the last call."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database
        self._numbers: tuple[int, ...] | None = None

    def changed(self, *, registry: bool = True) -> bool:
        """Whether one changed since the last call; ``registry``: the routes depend on it, too.

        Raises ModelscanError; the next call that succeeds then answers yes.
        """
        before, self._numbers = self._numbers, ()
        with self._database.reading() as connection:
            kinds = [KEYS_CHANGED, SAMPLES_CHANGED, TRACES_CHANGED]
            kinds += [REGISTRY_CHANGED] if registry else []
            self._numbers = tuple(change_number(connection, kind) for kind in kinds)
        return before is not None and before != self._numbers


def _stamp(file: Path) -> FileStamp:
    try:
        status = file.stat()
        recent = abs(time.time() - status.st_mtime) < _FRESH_S
        content = file.read_bytes() if recent else None
    except OSError as error:
        return FileStamp((error.errno,), None)
    return FileStamp((status.st_mtime_ns, status.st_size, status.st_ino), content)


def key_files(references: Iterable[str]) -> list[Path]:
    """The files that ``file:PATH`` references name."""
    paths = [one.removeprefix("file:") for one in references if one.startswith("file:")]
    return [expand(path) for path in sorted(set(paths))]
