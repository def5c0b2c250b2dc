"""An engine of this machine: embedded, found, installed by modelscan, or a container image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.workload import Backend

InstalledSource = Literal["bundled", "found", "installed", "container"]
"""Embedded in modelscan; a program or Python that modelscan did not install; installed below the
state folder by ``engine install``; an image of a container runtime."""


@dataclass(frozen=True, slots=True)
class InstalledEngine:
    """One row of ``engine list``.

    ``id`` is what ``engine use`` and ``engine remove`` accept (``llama.cpp@b11549-vulkan``).
    ``path`` is the program, the environment's Python or the image with its tag. ``devices`` are the
    names that the engine lists: () the CPU only, None where it does not list them without loading
    a model. ``supports`` are the file formats that it loads. ``size_bytes`` on the disk, None where
    it is not modelscan's; ``selected``: deployments of this engine start with it.
    """

    id: str
    name: Backend
    version: str | None
    path: str | None
    devices: tuple[str, ...] | None
    source: InstalledSource
    supports: tuple[str, ...]
    size_bytes: int | None = None
    selected: bool = False
