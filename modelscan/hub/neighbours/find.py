"""All models of other programs, and one of them by its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.hub.neighbours import llamacpp_cache, lmstudio, ollama
from modelscan.hub.neighbours.types import (
    NeighbourList,
    NeighbourModel,
    NeighbourProgram,
    UnreadableFolder,
    reason_of,
)

_Place = tuple[NeighbourProgram, Path, Callable[[Path], Iterable[NeighbourModel]]]


def list_neighbours(environ: Mapping[str, str] | None = None) -> NeighbourList:
    """Every model that other programs keep on this machine."""
    items: dict[str, NeighbourModel] = {}
    unreadable: list[UnreadableFolder] = []
    for program, folder, models in _places(environ):
        try:
            for one in models(folder):
                items.setdefault(one.model, one)
        except OSError as error:
            unreadable.append(UnreadableFolder(program, str(folder), reason_of(error)))
    return NeighbourList(tuple(items.values()), tuple(unreadable))


def find_neighbour(text: str, environ: Mapping[str, str] | None = None) -> NeighbourModel:
    """The model that ``ollama:NAME`` or ``lmstudio:PUBLISHER/REPOSITORY`` names.

    Raises UsageError (exit 2) for an unknown one and for one that is damaged or unreadable.
    """
    listed = list_neighbours(environ)
    wanted = _canonical(text)
    found = next((one for one in listed.items if one.model.lower() == wanted.lower()), None)
    if found is None:
        raise _unknown(text, listed)
    if found.problem is not None:
        raise UsageError(
            f"{found.model} of {found.program} cannot be used: {found.problem}",
            hint="modelscan cache list --neighbours",
            code="neighbour_unusable",
        )
    return found


def _canonical(text: str) -> str:
    if text.startswith(ollama.PREFIX):
        return ollama.PREFIX + ollama.canonical(text.removeprefix(ollama.PREFIX))
    return text


def _unknown(text: str, listed: NeighbourList) -> UsageError:
    prefix = text.partition(":")[0] + ":"
    names = [one.model for one in listed.items if one.model.startswith(prefix)]
    near = nearest(text, names, limit=3)
    shut = next((one for one in listed.unreadable), None)
    because = f"; {shut.path} cannot be read ({shut.problem})" if shut is not None else ""
    other = f"; there is {', '.join(near)}" if near else ""
    return UsageError(
        f"no program on this machine keeps '{text}'{other}{because}",
        hint="modelscan cache list --neighbours",
        code="no_such_neighbour",
    )


def _places(environ: Mapping[str, str] | None) -> Iterator[_Place]:
    env = os.environ if environ is None else environ
    home = Path(env.get("HOME") or Path.home())
    for folder in ollama.folders(env, home):
        yield "Ollama", folder, ollama.models
    for folder in lmstudio.folders(home):
        yield "LM Studio", folder, lmstudio.models
    for folder in llamacpp_cache.folders(env, home):
        yield "llama.cpp's cache", folder, llamacpp_cache.models
