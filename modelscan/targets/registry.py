"""The targets. A new target is a module and a line in ``TARGETS``.

Any other name is a configured GPUStack server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines import ollama
from modelscan.state.config import Config

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.targets.base import Target

TARGETS = {
    "local": "modelscan.targets.local.target:LocalTarget",
    ollama.NAME: "modelscan.targets.ollama.target:OllamaTarget",
    "found": "modelscan.targets.found.target:FoundTarget",
}


def resolve_target(target: str | None, config: Config) -> str:
    """The target's name for ``--target`` (or the setting ``target``).

    ``auto`` is the default cluster if one is configured, else this machine; ``gpustack`` is always
    the default cluster.
    """
    name = target or config.target
    if name not in ("auto", "gpustack"):
        return name
    from modelscan.state.targets import load

    default = load(config.paths).default
    if default is None and name == "gpustack":
        raise UsageError(
            "no GPUStack server is configured",
            hint="modelscan target add NAME URL --key env:GPUSTACK_API_KEY",
            code="no_target",
        )
    return default or "local"


def find_target(name: str, config: Config) -> Target:
    """The target of that name. Raises UsageError for an unknown one."""
    entry = TARGETS.get(name)
    if entry is None:
        return _cluster(name, config)
    module, _, attribute = entry.partition(":")
    target: Target = getattr(importlib.import_module(module), attribute)(config)
    return target


def recorded_cluster(deployment: Deployment, config: Config) -> Target | None:
    """The server of a cluster deployment by its own record, for a list of servers that cannot be
    read; None for a record without an address. A CA file is not in the record.
    """
    from modelscan.state.targets import TargetConfig
    from modelscan.targets.gpustack.target import GpuStackTarget

    if deployment.target in TARGETS or deployment.endpoint is None:
        return None
    where = TargetConfig(deployment.target, deployment.endpoint, deployment.api_key)
    return GpuStackTarget(config, where)


def _cluster(name: str, config: Config) -> Target:
    """A configured GPUStack server."""
    from modelscan.state.targets import load
    from modelscan.targets.gpustack.target import GpuStackTarget

    return GpuStackTarget(config, load(config.paths).find(name))
