"""What the downloads of both hubs agree on: where files go, and who is told of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelscan.core.model import WeightFile

Report = Callable[["Progress"], None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes of all files together; ``rate`` and ``left_s`` are None until there is a figure."""

    file: str
    done_bytes: int
    total_bytes: int
    rate_bytes_per_s: float | None
    left_s: float | None


class Moved(Protocol):
    """Told of n more bytes; ``fresh`` False: they were here already, from an earlier try."""

    def __call__(self, count: int, /, *, fresh: bool = True) -> None: ...


class Store(Protocol):
    """Where one hub's files live and how one of them is fetched."""

    def folder(self, repo: str, revision: str) -> Path: ...

    def fetch(self, repo: str, revision: str, file: WeightFile, moved: Moved) -> Path:
        """Fetch or resume one file."""
        ...

    def discard(self, path: Path) -> None:
        """Delete a file that turned out wrong, so that the next try starts afresh."""
        ...
