"""A model that another program keeps on this machine, run from where it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.hub.neighbours.find import find_neighbour
from modelscan.models.from_local import from_files, from_path

if TYPE_CHECKING:
    from modelscan.core.plan import ResolvedModel
    from modelscan.core.workload import Workload


def from_neighbour(text: str, workload: Workload) -> ResolvedModel:
    """The ResolvedModel of ``ollama:NAME`` or ``lmstudio:PUBLISHER/REPOSITORY``.

    Raises UsageError for an unknown, damaged or unreadable one.
    """
    found = find_neighbour(text)
    if found.folder is not None:
        return from_path(found.folder, workload)
    first, *rest = map(Path, found.files)
    name = found.model.partition(":")[2].removesuffix(":latest")
    return from_files(first, name, projector=rest[0] if rest else None)
