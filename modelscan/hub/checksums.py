"""SHA-256 of weights, computed once and stored with the file's size and modification time.

Also stores the files of each pull, for ``--offline`` and ``updates``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import to_json
from modelscan.core.model import WeightFile
from modelscan.state.clock import now_text
from modelscan.state.files import write_atomic
from modelscan.state.paths import Paths

_CHUNK_BYTES = 4 << 20


def key(*parts: str) -> str:
    """A short file name derived from these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


class Verified:
    """The files whose checksum was verified and that have not changed since."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.data / "verified"

    def hash_of(self, path: Path) -> str | None:
        """The SHA-256 that was verified or computed for this file as it is now; None: none was."""
        try:
            stored = json_value(self._record(path).read_text())
            stat = path.stat()
        except (OSError, ValueError):
            return None
        if not isinstance(stored, dict):
            return None
        same = (stored.get("size"), stored.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns)
        value = stored.get("sha256")
        return value if same and isinstance(value, str) else None

    def knows(self, path: Path, file: WeightFile) -> bool:
        """True if this file (size, modification time) was verified against this hash."""
        record = self._record(path)
        try:
            stored = json_value(record.read_text())
            stat = path.stat()
        except (OSError, ValueError):
            return False
        expected = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file.sha256}
        return bool(stored == expected) and file.size_bytes in (None, stat.st_size)

    def add(self, path: Path, file: WeightFile) -> None:
        """Record a verified file."""
        stat = path.stat()
        value = {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": file.sha256}
        write_atomic(self._record(path), json.dumps(value))

    def _record(self, path: Path) -> Path:
        return self._folder / f"{key(str(path.absolute()))}.json"


@dataclass(frozen=True, slots=True)
class PullRecord:
    """A finished pull: all files exist and are verified."""

    source: str
    repo: str
    revision: str
    pulled_at: str
    files: tuple[WeightFile, ...]


def remember_pull(
    paths: Paths, source: str, repo: str, revision: str, files: tuple[WeightFile, ...]
) -> None:
    """Add files to the record of this revision (another quantization may have been pulled
    before).
    """
    path = _pull_file(paths, source, repo, revision)
    files_by_path = {file.path: file for record in _read(path) for file in record.files}
    files_by_path |= {file.path: file for file in files}
    value = {"source": source, "repo": repo, "revision": revision, "pulled_at": now_text(),
             "files": to_json(tuple(files_by_path.values()))}  # fmt: skip
    write_atomic(path, json.dumps(value))


def pulls(
    paths: Paths, source: str | None = None, repo: str | None = None, revision: str | None = None
) -> list[PullRecord]:
    """Finished pulls, newest first; each argument filters."""
    folder = paths.data / "pulls"
    records = [record for path in sorted(folder.glob("*.json")) for record in _read(path)]
    matches = [
        record
        for record in records
        if source in (None, record.source)
        and repo in (None, record.repo)
        and revision in (None, record.revision)
    ]
    return sorted(matches, key=lambda record: record.pulled_at, reverse=True)


def forget_pull(paths: Paths, record: PullRecord) -> None:
    """Delete the record of a pull."""
    _pull_file(paths, record.source, record.repo, record.revision).unlink(missing_ok=True)


def _pull_file(paths: Paths, source: str, repo: str, revision: str) -> Path:
    return paths.data / "pulls" / f"{key(source, repo, revision)}.json"


def _read(path: Path) -> Iterator[PullRecord]:
    try:
        value: dict[str, Any] = json_value(path.read_text())
        files = tuple(WeightFile(**row) for row in value.pop("files"))
        yield PullRecord(**value, files=files)
    except (OSError, ValueError, TypeError, KeyError):
        return  # missing or invalid: the pull is repeated
