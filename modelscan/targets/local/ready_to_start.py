"""Whether a recorded launch can be started now: program, keys, files, port, memory.

``restart`` asks before it ends anything, ``start`` before the row changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.units import format_bytes
from modelscan.formats.files import is_gguf_name
from modelscan.state.secrets import resolve
from modelscan.supervisor import ports
from modelscan.supervisor.launch.registry import check as check_engine
from modelscan.targets.local.room import room_for
from modelscan.targets.local.weights import LOCAL, expected

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.launch import LocalLaunch
    from modelscan.core.plan import Plan
    from modelscan.state.config import Config
    from modelscan.state.store import Store

_POINTER = b"version https://git-lfs"  # Git stores this text where a file was not fetched


def check(
    deployment: Deployment, launch: LocalLaunch, config: Config, store: Store, *, runs: bool
) -> None:
    """Raise what a start would raise. ``runs``: its port and its memory are its own now."""
    check_engine(launch, deployment.gpus)
    for reference in launch.secrets.values():
        resolve(reference)
    if deployment.plan is not None:
        check_files(deployment.name, deployment.plan, config)
    if not runs:
        _check_port(deployment, launch)
        _check_memory(deployment, config, store)


def check_files(name: str, plan: Plan, config: Config) -> None:
    """Every file of the plan is there and whole. Raises ModelscanError with the damaged one.

    A pulled file that changed since it was verified is hashed again; of a local file only what
    shows at once is noticed.
    """
    if plan.source != LOCAL:
        from modelscan.hub.downloads.pull import check_pulled

        check_pulled(plan, config)
        return
    weights = expected(plan, config)
    for file in filter(None, (weights.model, weights.projector)):
        _check_local(name, plan, file)


def _check_local(name: str, plan: Plan, file: Path) -> None:
    if file.is_dir():
        return
    with file.open("rb") as stream:
        start = stream.read(len(_POINTER))
    broken = "is empty" if not start else ""
    if start == _POINTER:
        broken = "is a Git LFS pointer, not the weights (git lfs pull)"
    if not broken and is_gguf_name(file.name) and not start.startswith(b"GGUF"):
        broken = "is not a GGUF file any more"
    if broken:
        raise ModelscanError(
            f"{name} cannot be started: {file} {broken}",
            hint=f"restore the file, then: modelscan start {name}", code="damaged_file",
            details={"file": str(file), "model": plan.model},
        )  # fmt: skip


def _check_port(deployment: Deployment, launch: LocalLaunch) -> None:
    """Only a requested port is kept; another one is chosen where the old one is taken."""
    fixed = deployment.request is not None and deployment.request.port is not None
    if fixed and not ports.is_free(launch.host, launch.port):
        raise UsageError(
            f"{deployment.name} cannot be started: port {launch.port} is in use",
            hint=f"end the program on it (ss -ltnp 'sport = :{launch.port}'), or: modelscan deploy "
            f"{deployment.model} --name {deployment.name} --port PORT --replace",
            code="port_in_use",
        )  # fmt: skip


def _check_memory(deployment: Deployment, config: Config, store: Store) -> None:
    """Raise NotDeployableError where even the estimate less its margin is more than is free."""
    needed, available = room_for(deployment, config, store)
    if not available or needed <= available:
        return
    raise NotDeployableError(
        f"{deployment.name} cannot be started: it needs about {format_bytes(needed)}, "
        f"{format_bytes(available)} are free",
        hint=f"stop another deployment, or plan again: modelscan deploy {deployment.model} "
        f"--name {deployment.name} --replace",
        code="does_not_fit", details={"needed_bytes": needed, "available_bytes": available},
    )  # fmt: skip
