"""A model of another program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NeighbourProgram = Literal["Ollama", "LM Studio", "llama.cpp's cache"]


@dataclass(frozen=True, slots=True)
class NeighbourModel:
    """``model``: what `plan` and `deploy` take. ``files``: absolute paths, the model's first.

    ``folder``: all of its files belong to the model. ``size_bytes`` None: a file is missing.
    ``problem``: why it cannot be run from here; None: nothing speaks against it.
    """

    program: NeighbourProgram
    model: str
    files: tuple[str, ...]
    size_bytes: int | None
    folder: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class UnreadableFolder:
    """A folder of another program that this user may not read."""

    program: NeighbourProgram
    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class NeighbourList:
    """Every model that other programs keep here, and the folders that could not be read."""

    items: tuple[NeighbourModel, ...]
    unreadable: tuple[UnreadableFolder, ...]


def reason_of(error: OSError) -> str:
    """An error of the file system as a reason."""
    return (error.strerror or str(error)).lower()
