"""The supervisor's task for a launch: the command on this machine, its limits, its container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.limits import NO_LIMITS
from modelscan.supervisor import restarts
from modelscan.supervisor.rundir import ProcessSpec, RunDir

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.launch import LocalLaunch
    from modelscan.supervisor.containers.handle import ContainerHandle


def process_spec(
    deployment: Deployment, launch: LocalLaunch, run_id: str, rundir: RunDir
) -> ProcessSpec:
    """The supervisor's task. The limits of a container are in its command."""
    command, container = command_of(launch, rundir)
    limits = NO_LIMITS if container else launch.limits
    return ProcessSpec(
        run_id, deployment.name, command, launch.embedded, launch.env, launch.secrets,
        restart=deployment.restart or restarts.NO, idle_s=deployment.ttl_s, host=launch.address,
        port=launch.port, memory_limit_bytes=limits.memory_bytes, nice=limits.nice,
        container=container,
    )  # fmt: skip


def command_of(
    launch: LocalLaunch, rundir: RunDir
) -> tuple[tuple[str, ...], ContainerHandle | None]:
    """The command on this machine: of the engine, or of its container's runtime."""
    if launch.container is None:
        return launch.argv, None
    from modelscan.supervisor.containers.command import run_command
    from modelscan.targets.local.containers import handle_for

    handle = handle_for(launch.container, rundir.folder)
    return run_command(launch, handle), handle
