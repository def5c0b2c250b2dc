"""The hardware that a deployment runs on, as text and as the key of learned speeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.engines.speed_history import devices_of

if TYPE_CHECKING:
    from modelscan.bench.place import BenchPlace
    from modelscan.core.gpu import Inventory
    from modelscan.state.config import Config


def hardware_here(config: Config) -> Inventory:
    """This machine's hardware."""
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    return inventory(None, ProbeHost.from_config(config))


def hardware_text(place: BenchPlace, config: Config) -> str:
    """The devices of a server on this machine: those of its deployment, else all of them."""
    hardware = hardware_here(config)
    deployment = place.deployment
    plan = deployment.plan if deployment else None
    gpus: Sequence[int] = plan.gpus if plan is not None else [gpu.index for gpu in hardware.gpus]
    return devices_of(gpus, hardware)
