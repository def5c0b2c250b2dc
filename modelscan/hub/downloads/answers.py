"""What ``pull`` answers, as a value with one JSON form."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.model import WeightFile

if TYPE_CHECKING:
    from modelscan.hub.downloads.pull import Pulled


@dataclass(frozen=True, slots=True)
class PullAnswer:
    """``total_bytes`` of the files, ``fetched_bytes`` of them over the network now."""

    source: str
    repo: str
    revision: str
    folder: Path
    files: tuple[WeightFile, ...]
    total_bytes: int
    fetched_bytes: int


def pull_answer(pulled: Pulled) -> PullAnswer:
    """The weights as an answer."""
    total = sum(file.size_bytes or 0 for file in pulled.files)
    return PullAnswer(
        pulled.source, pulled.repo, pulled.revision, pulled.folder, tuple(pulled.files), total,
        pulled.fetched_bytes,
    )  # fmt: skip
