"""What an engine that is missing here costs to install: the command, bytes, the version."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.machine import ENGINE_MISSING, MissingEngine
from modelscan.engines.llamacpp.release_builds import RELEASE_BYTES, accelerators, target_of
from modelscan.engines.pool_engine import PoolEngine
from modelscan.engines.registry import engine
from modelscan.supervisor.engines.environment_install import wheels_for
from modelscan.supervisor.engines.offer import UNPACKED
from modelscan.supervisor.engines.version_choice import choose_version

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Backend


def install_command(name: str) -> str:
    """The command that installs an engine."""
    return f"modelscan engine install {name}"


def missing_engine(
    name: Backend, reason: str, hardware: Inventory, *, code: str = ENGINE_MISSING
) -> MissingEngine:
    """The gap with the command that fills it, and what that fetches and writes."""
    one = engine(name)
    if isinstance(one, PoolEngine):
        return _python_engine(one, reason, hardware, code)
    target = target_of(platform.system(), platform.machine(), hardware.gpus)
    kinds = accelerators(target) if target else ()
    size = RELEASE_BYTES.get(kinds[0]) if kinds else None
    disk = None if size is None else UNPACKED * size
    return MissingEngine(name, reason, install_command(name), code, size, disk)


def _python_engine(one: PoolEngine, reason: str, hardware: Inventory, code: str) -> MissingEngine:
    gpus = [gpu for gpu in hardware.gpus if one.name in gpu.backends]
    vendor = gpus[0].vendor if gpus else None
    wheels = wheels_for(one, vendor)
    if wheels is None:
        reason = f"{reason}, and the package index has no build for {vendor or 'the CPU'}: its "
        reason += f"container {one.package.image} has one"
        command = f"modelscan deploy MODEL --backend {one.name} --runtime docker"
        return MissingEngine(one.name, reason, command, code)
    try:
        version, _ = choose_version(one, wheels, hardware, gpus, None, None)
    except ModelscanError as error:
        return MissingEngine(one.name, f"{reason}; {error.message}", "modelscan doctor", code)
    return MissingEngine(
        one.name, reason, install_command(one.name), code, wheels.download_bytes,
        wheels.disk_bytes, version,
    )  # fmt: skip
