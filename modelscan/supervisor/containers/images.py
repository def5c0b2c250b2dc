"""The images of engines that docker and podman have on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.container import RUNTIMES, ContainerRuntime
from modelscan.core.errors import ModelscanError
from modelscan.engines.registry import engines
from modelscan.supervisor.containers.failures import registry_of
from modelscan.supervisor.containers.runtime import find_image, listed_names

if TYPE_CHECKING:
    from modelscan.core.workload import Backend

_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An official image of an engine. ``version`` None: its tag names none."""

    engine: Backend
    runtime: ContainerRuntime
    name: str
    version: str | None
    bytes: int | None


def engine_images() -> Iterator[EngineImage]:
    """Every engine's images in every runtime that is installed and answers."""
    for runtime in RUNTIMES:
        if shutil.which(runtime) is None:
            continue
        try:
            names = listed_names(runtime)
            yield from (image for name in names for image in _of_engine(runtime, complete(name)))
        except ModelscanError:  # its service does not run: it can start nothing either
            continue


def _of_engine(runtime: ContainerRuntime, name: str) -> Iterator[EngineImage]:
    for one in engines():
        version = one.images.version_of(name) if one.images else None
        if version is None:
            continue
        found = find_image(runtime, name)
        size = found.bytes if found else None
        yield EngineImage(one.name, runtime, name, version or None, size)


def complete(name: str) -> str:
    """The name with its registry: docker lists its own registry's images without it."""
    if registry_of(name) == _HUB and not name.startswith(f"{_HUB}/"):
        return f"{_HUB}/{name}"
    return name
