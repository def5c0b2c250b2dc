"""Whether a container can be started: the runtime, the image, the GPU toolkit."""

from __future__ import annotations

import shutil
from pathlib import Path

from modelscan.core.container import ContainerLaunch
from modelscan.core.errors import ModelscanError
from modelscan.supervisor.containers.failures import TOOLKIT_STEPS
from modelscan.supervisor.containers.runtime import find_image, image_missing, program_of

_CDI_FOLDERS = ("etc/cdi", "var/run/cdi")
_CDI_KIND = "nvidia.com/gpu"
_DOCKER_HOOKS = ("nvidia-container-runtime", "nvidia-container-runtime-hook", "nvidia-ctk")


def check(container: ContainerLaunch, root: Path = Path("/")) -> None:
    """Raise ModelscanError for what is missing, with the command that brings it. ``root``: below
    it are the machine's device files and the toolkit's descriptions.
    """
    program_of(container.runtime)
    if find_image(container.runtime, container.pinned) is None:
        raise image_missing(container.runtime, container.pinned)
    if container.devices:
        _check_devices(container, root)
    if container.network == "isolated" and shutil.which("slirp4netns") is None:
        raise ModelscanError(
            "podman needs slirp4netns for a container without a network",
            hint="sudo apt-get install -y slirp4netns",
            code="isolation_missing",
        )


def _check_devices(container: ContainerLaunch, root: Path) -> None:
    if container.vendor == "nvidia":
        ready = _cdi_described(root) if container.runtime == "podman" else _has_hook()
        if not ready:
            raise ModelscanError(
                f"the NVIDIA container toolkit is not set up for {container.runtime}",
                hint=TOOLKIT_STEPS[container.runtime],
                code="gpu_toolkit_missing",
            )
        return
    for device in container.devices:
        if not (root / device.lstrip("/")).exists():
            raise ModelscanError(
                f"the device file {device} does not exist",
                hint="modelscan gpu",
                code="device_missing",
            )


def _cdi_described(root: Path) -> bool:
    """Whether a description of the toolkit names NVIDIA's devices."""
    for folder in _CDI_FOLDERS:
        for file in sorted((root / folder).glob("*")):
            try:
                if _CDI_KIND in file.read_text(errors="replace"):
                    return True
            except OSError:
                continue
    return False


def _has_hook() -> bool:
    return any(shutil.which(name) for name in _DOCKER_HOOKS)
