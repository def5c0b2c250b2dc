"""The images of engines that docker and podman have on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelscan.core.container import RUNTIMES, ContainerRuntime
from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.workload import Backend
from modelscan.engines.registry import engine, engines
from modelscan.supervisor.containers.failures import registry_of
from modelscan.supervisor.containers.runtime import find_image, listed_names, program_of, pull

_HUB = "docker.io"


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An official image of an engine. ``version`` None: its tag names none."""

    engine: Backend
    runtime: ContainerRuntime
    name: str
    version: str | None
    bytes: int | None

    @property
    def id(self) -> str:
        """``vllm@podman:docker.io/vllm/vllm-openai:v0.32.0``."""
        return f"{self.engine}@{self.runtime}:{self.name}"


@dataclass(frozen=True, slots=True)
class ImageOffer:
    """The image that ``engine install --runtime`` would pull. Its size is the registry's, which is
    not asked before.
    """

    engine: Backend
    runtime: ContainerRuntime
    image: str
    command: tuple[str, ...]


def image_offer(
    name: str, runtime: ContainerRuntime, vendor: str | None, version: str | None
) -> ImageOffer:
    """The official image for these GPUs. Raises UsageError for an unknown engine,
    NotDeployableError where it has none, ModelscanError if the runtime is not installed.
    """
    one = engine(name)
    image = one.images.name(vendor, one.image_version(version)) if one.images else None
    if image is None:
        raise no_image(one.name, vendor, runtime)
    program_of(runtime)
    return ImageOffer(one.name, runtime, image, (runtime, "pull", image))


def pull_offer(
    offer: ImageOffer, *, offline: str | None, report: Callable[[str], None]
) -> tuple[EngineImage, bool]:
    """The image, and whether it was pulled now. Raises what ``runtime.pull`` raises."""
    found = find_image(offer.runtime, offer.image)
    there = found is not None
    if found is None:
        found = pull(offer.runtime, offer.image, offline=offline, report=report)
    official = engine(offer.engine).images
    version = official.version_of(offer.image) if official else None
    image = EngineImage(offer.engine, offer.runtime, offer.image, version or None, found.bytes)
    return image, not there


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


def no_image(name: str, vendor: str | None, runtime: ContainerRuntime) -> NotDeployableError:
    """The error for an engine without an official image for these GPUs."""
    title = engine(name).title
    where = f" for {vendor} GPUs" if vendor else ""
    return NotDeployableError(
        f"{title} has no official container image{where} that modelscan knows",
        hint=f"modelscan deploy MODEL --backend {name} --runtime {runtime} --image NAME:TAG",
        code="no_image",
    )
