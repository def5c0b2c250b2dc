"""How a deployment's container is named, marked and found again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.container import ContainerRuntime

_ENV_FILE = "container.env"
NETWORK = "modelscan-isolated"
"""docker's network without a route to other machines."""
DEPLOYMENT_LABEL = "modelscan.deployment"
FOLDER_LABEL = "modelscan.folder"


@dataclass(frozen=True, slots=True)
class ContainerHandle:
    """The container of one deployment: the runtime and its program, its name, and the deployment's
    folder, which tells the deployments of two homes apart. ``relay``: its port is not published by
    the runtime (``relay``).
    """

    runtime: ContainerRuntime
    program: str
    name: str
    deployment: str
    folder: str
    relay: bool = False

    @property
    def env_file(self) -> str:
        """The file with its variables; it exists only while the container starts."""
        return str(Path(self.folder) / _ENV_FILE)


def handle_of(runtime: ContainerRuntime, program: str, folder: Path) -> ContainerHandle:
    """The handle of the deployment with this folder: the same for every start, so that a container
    that outlived its supervisor is found again.
    """
    at = str(folder.absolute())
    mark = hashlib.sha256(at.encode()).hexdigest()[:8]
    name = f"modelscan-{folder.name}-{mark}"
    return ContainerHandle(runtime, program, name, folder.name, at)


def labels(handle: ContainerHandle) -> Iterator[str]:
    """The labels of its container, for ``docker ps --filter label=…``."""
    yield f"{DEPLOYMENT_LABEL}={handle.deployment}"
    yield f"{FOLDER_LABEL}={handle.folder}"
