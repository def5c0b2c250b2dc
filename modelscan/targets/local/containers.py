"""Engines in containers on this machine: which images it has, and a plan's launch in one."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.machine import EngineHere, MissingEngine
from modelscan.engines.registry import engine, engines
from modelscan.supervisor.containers.handle import ContainerHandle, handle_of
from modelscan.supervisor.containers.runtime import find_image, is_rootless, program_of
from modelscan.supervisor.launch.container import ContainerHost, in_container, no_image
from modelscan.supervisor.launch.registry import DEFAULT

if TYPE_CHECKING:
    from modelscan.core.container import ContainerLaunch, ContainerRuntime
    from modelscan.core.gpu import Inventory
    from modelscan.core.launch import LocalLaunch
    from modelscan.core.plan import Plan
    from modelscan.core.workload import Backend, Workload
    from modelscan.engines.base import Serving
    from modelscan.engines.engine import Engine
    from modelscan.state.config import Config
    from modelscan.targets.local.engines import Engines
    from modelscan.targets.request import Request

_SELINUX = Path("/sys/fs/selinux/enforce")


def container_engines(
    inventory: Inventory,
    runtime: ContainerRuntime,
    wishes: Workload,
    image: str | None = None,
    assumed: bool = False,
) -> Engines:
    """The engines whose image for this hardware is here, and those whose image must be pulled.

    ``image``: the one that the user named, of ``wishes.backend``; ``assumed``: as if every image
    were here. Raises ModelscanError if the runtime cannot be asked.
    """
    if not assumed:
        program_of(runtime)
    here: list[EngineHere] = []
    lacking: list[MissingEngine] = []
    for name, named in image_names(inventory, wishes, image).items():
        version = engine(name).image_version(wishes.backend_version)
        if assumed or find_image(runtime, named) is not None:
            here.append(EngineHere(name, version, "container", path=named))
            continue
        reason = f"its image {named} is not on this machine"
        lacking.append(MissingEngine(name, reason, f"{runtime} pull {named}"))
    return tuple(here), tuple(lacking)


def image_names(
    inventory: Inventory, wishes: Workload, image: str | None = None
) -> dict[Backend, str]:
    """The image of each engine that can be started in a container on this hardware."""
    if image is not None:
        return {wishes.backend or DEFAULT: image}
    vendor = _vendor(inventory)
    names = {
        one.name: one.images.name(vendor, one.image_version(wishes.backend_version))
        for one in engines()
        if one.images is not None and not one.own_server and _useful(one, inventory, wishes)
    }
    return {name: named for name, named in names.items() if named is not None}


def _useful(one: Engine, inventory: Inventory, wishes: Workload) -> bool:
    """Whether the engine was requested, or could run on this hardware."""
    if wishes.backend is not None:
        return wishes.backend == one.name
    return one.name == DEFAULT or any(one.name in gpu.backends for gpu in inventory.gpus)


def _vendor(inventory: Inventory) -> str | None:
    return inventory.gpus[0].vendor if inventory.gpus else None


def launch_in_container(
    plan: Plan, serving: Serving, request: Request, config: Config
) -> LocalLaunch:
    """The launch of a plan in its container. A dry run needs no runtime.

    Raises ModelscanError where the runtime or the image is missing, NotDeployableError where the
    engine has no image for these GPUs.
    """
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    assert request.runtime is not None
    hardware = inventory(request.gpu, ProbeHost.from_config(config))
    named = image_names(hardware, request.workload, request.image).get(plan.backend)
    if named is None:
        raise no_image(plan.backend, _vendor(hardware), request.runtime)
    host = ContainerHost(
        runtime=request.runtime,
        image=named,
        digest=_digest(request, named),
        gpus=hardware.gpus,
        rootless=_rootless(request),
        isolated=request.offline_after_download,
        selinux=_SELINUX.exists() and _SELINUX.read_text().strip() == "1",
        root=config.host_root,
        uid=os.getuid(),
        gid=os.getgid(),
        linux=sys.platform.startswith("linux"),
    )
    return in_container(plan, serving, host)


def _digest(request: Request, image: str) -> str | None:
    """None for an image that is not here: the check of a start says so."""
    assert request.runtime is not None
    try:
        found = find_image(request.runtime, image)
    except ModelscanError:
        if request.dry_run:
            return None
        raise
    return found.digest if found else None


def _rootless(request: Request) -> bool:
    assert request.runtime is not None
    try:
        return is_rootless(request.runtime)
    except ModelscanError:
        if request.dry_run:
            return os.getuid() != 0
        raise


def handle_for(container: ContainerLaunch, folder: Path) -> ContainerHandle:
    """The container of the deployment in this folder. The runtime's program is looked up again
    for each start.
    """
    try:
        program = program_of(container.runtime)
    except ModelscanError:
        program = container.runtime  # a preview; the check of a start is the one that fails
    handle = handle_of(container.runtime, program, folder)
    relay = container.network == "isolated" and container.runtime == "docker"
    return replace(handle, relay=relay)
