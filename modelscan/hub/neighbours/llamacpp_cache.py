"""The folder in which llama.cpp's own programs keep what ``-hf`` downloaded (before they used the
Hugging Face cache): single files. Layout: common/common.cpp, ``fs_get_cache_directory``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from modelscan.formats.files import describe, parts
from modelscan.hub.neighbours.types import NeighbourModel, NeighbourProgram, reason_of

_PROGRAM: NeighbourProgram = "llama.cpp's cache"


def folders(environ: Mapping[str, str], home: Path) -> tuple[Path, ...]:
    """Where it is."""
    own = environ.get("LLAMA_CACHE")
    if own:
        return (Path(own).expanduser(),)
    if sys.platform == "darwin":
        return (home / "Library" / "Caches" / "llama.cpp",)
    base = environ.get("XDG_CACHE_HOME")
    return ((Path(base) if base else home / ".cache") / "llama.cpp",)


def models(folder: Path) -> Iterator[NeighbourModel]:
    """Every model of a folder. Raises OSError where it cannot be listed."""
    if not folder.is_dir():
        return
    for file in sorted(folder.glob("*.gguf")):
        if describe(file.name).starts_model:
            yield _model(file)


def _model(file: Path) -> NeighbourModel:
    files = [file.parent / name for name in parts(file.name)]
    lost = [one for one in files if not one.exists()]
    if lost:
        kind = "is a link to nothing" if lost[0].is_symlink() else "is missing"
        problem = f"{lost[0]} {kind}"
        return NeighbourModel(_PROGRAM, str(file), (), None, problem=problem)
    try:
        for one in files:
            one.open("rb").close()
    except OSError as error:
        problem = f"{error.filename} cannot be read: {reason_of(error)}"
        return NeighbourModel(_PROGRAM, str(file), (), None, problem=problem)
    size = sum(one.stat().st_size for one in files)
    return NeighbourModel(_PROGRAM, str(file), tuple(map(str, files)), size)
