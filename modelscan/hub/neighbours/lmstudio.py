"""LM Studio's folder: ``PUBLISHER/REPOSITORY/`` with the files of a hub's repository.

``~/.lmstudio-home-pointer`` names its home; ``downloadsFolder`` of its settings moves the models;
older versions kept them in ``~/.cache/lm-studio/models``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelscan.core.json_reader import json_value
from modelscan.formats.files import describe, parts
from modelscan.hub.neighbours.types import NeighbourModel, NeighbourProgram, reason_of

PREFIX = "lmstudio:"
_PROGRAM: NeighbourProgram = "LM Studio"
_LONGEST_PATH = 4096
_LARGEST_SETTINGS = 1 << 20
_WEIGHTS = (".gguf", ".safetensors")


def folders(home: Path) -> tuple[Path, ...]:
    """Where its models can be."""
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    pointer = home / ".lmstudio-home-pointer"
    named = _text(pointer, _LONGEST_PATH).strip()
    homes = [Path(named), *homes] if named else homes
    places: list[Path] = []
    for one in homes:
        moved = _moved(one / "settings.json")
        places += [moved] if moved is not None else []
        places.append(one / "models")
    return tuple(dict.fromkeys(places))


def models(folder: Path) -> Iterator[NeighbourModel]:
    """Every repository of a folder. Raises OSError where it cannot be listed."""
    if not folder.is_dir():
        return
    for publisher in _folders(folder):
        try:
            repositories = _folders(publisher)
        except OSError as error:  # hides no other publisher
            problem = f"{publisher} cannot be read: {reason_of(error)}"
            yield NeighbourModel(_PROGRAM, PREFIX + publisher.name, (), None, None, problem)
            continue
        for repository in repositories:
            yield from _model(f"{publisher.name}/{repository.name}", repository)


def _model(name: str, folder: Path) -> Iterator[NeighbourModel]:
    try:
        files = [one for one in sorted(folder.iterdir()) if one.suffix.lower() in _WEIGHTS]
        lost = [one for one in files if not one.exists()]
        sizes = [one.stat().st_size for one in files if one not in lost]
        for one in files:
            if one not in lost:
                one.open("rb").close()  # raises OSError where this user may not
    except OSError as error:
        problem = f"{error.filename or folder} cannot be read: {reason_of(error)}"
        yield NeighbourModel(_PROGRAM, PREFIX + name, (), None, str(folder), problem)
        return
    if not files:
        return
    fault = _problem(folder, files, lost)
    first = [one for one in files if describe(one.name).starts_model] or files
    ordered = dict.fromkeys((*first, *files))
    size = None if lost else sum(sizes)
    yield NeighbourModel(
        _PROGRAM, PREFIX + name, tuple(map(str, ordered)), size, str(folder), fault
    )


def _problem(folder: Path, files: list[Path], lost: list[Path]) -> str | None:
    if lost:
        return f"{lost[0]} is a link to nothing"
    partial = next(folder.glob("*.part"), None) or next(folder.glob("downloading_*"), None)
    if partial is not None:
        return f"{partial.name} is a download that is not complete"
    there = {one.name for one in files}
    part = next((name for one in files for name in parts(one.name) if name not in there), None)
    if part is not None:
        return f"{part} is missing"
    gguf = any(one.suffix.lower() == ".gguf" for one in files)
    return None if gguf or (folder / "config.json").is_file() else "it has no config.json"


def _folders(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if one.is_dir() and one.name[:1] != ".")


def _moved(settings: Path) -> Path | None:
    try:
        value: Any = json_value(_text(settings, _LARGEST_SETTINGS).encode())
    except ValueError:
        return None
    place = value.get("downloadsFolder") if isinstance(value, dict) else None
    return Path(place) if isinstance(place, str) and place else None


def _text(file: Path, most: int) -> str:
    """A small file's text; "" where it is not there, too long or cannot be read."""
    try:
        return file.read_text("utf-8") if file.stat().st_size <= most else ""
    except (OSError, ValueError):
        return ""
