"""The interface of the downloads of both hubs, and their progress reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelscan.core.model import WeightFile

Report = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress over all files; ``rate_bytes_per_s`` and ``left_s`` are None until known."""

    file: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float | None
    left_s: float | None


class Moved(Protocol):
    """Called with the number of new bytes; ``fresh`` False: from an earlier attempt."""

    def __call__(self, count: int, /, *, fresh: bool = True) -> None: ...


class WeightStore(Protocol):
    """The local files of one hub and their download."""

    def folder(self, repo: str, revision: str) -> Path:
        """The folder for the files of a repository at a revision."""
        ...

    def fetch(self, repo: str, revision: str, file: WeightFile, moved: Moved) -> Path:
        """Fetch or resume one file."""
        ...

    def discard(self, path: Path) -> None:
        """Delete a file with a wrong checksum, so that the next attempt starts from zero."""
        ...
