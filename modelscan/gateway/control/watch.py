"""Notices within half a second that the routing file, a key file or the keys changed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from modelscan.core.errors import ModelscanError
from modelscan.state.paths import expand
from modelscan.state.server.database import ServerDatabase, change_number
from modelscan.state.server.keys import CHANGED
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
    """Compares what is there with what was there at the last call."""

    def __init__(self, file: Path, database: ServerDatabase) -> None:
        self._file = file
        self._database = database
        self._files: dict[Path, FileStamp] = {}
        self._keys: tuple[int, int] | None = None

    def changed(self, references: Iterable[str]) -> bool:
        """Whether something changed since the last call; ``references`` are those of secrets."""
        files = {file: _stamp(file) for file in (self._file, *key_files(references))}
        before, self._files = self._files, files
        keys, self._keys = self._keys, self._key_changes()
        return (keys is not None and keys != self._keys) or any(
            before[file].differs(stamp) for file, stamp in files.items() if file in before
        )

    def _key_changes(self) -> tuple[int, int]:
        """How often keys were changed, and what is recorded of requests."""
        try:
            with self._database.reading() as connection:
                keys = change_number(connection, CHANGED)
                return keys, change_number(connection, TRACES_CHANGED)
        except ModelscanError:
            return -1, -1


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
