"""The machine a model is planned for: hardware, engines, and memory reserved for deployments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from modelscan.core.gpu import Inventory
from modelscan.core.plan import ReservedMemory
from modelscan.core.workload import BACKENDS, CLUSTER_ONLY, Backend

if TYPE_CHECKING:
    from modelscan.core.measurement import Measurement, SpeedMeasurement

ENGINE_MISSING = "engine_missing"
EngineSource = Literal["bundled", "found", "installed", "container", "simulated", "server"]
"""Embedded in modelscan; a program that was found; a Python environment; a container image; assumed
for simulated hardware; part of a server (GPUStack, Ollama)."""


@dataclass(frozen=True, slots=True)
class EngineHere:
    """An engine that can be started.

    ``version`` is None if unknown. ``gpus`` are the indices of the devices that this build can use:
    None all of the machine's, () the CPU only. ``note`` is a restriction that every plan with this
    engine must mention.
    """

    name: Backend
    version: str | None = None
    source: EngineSource = "found"
    gpus: tuple[int, ...] | None = None
    path: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MissingEngine:
    """An engine that is not installed (in a build for these GPUs), and how to install it.

    ``download_bytes`` and ``disk_bytes``: what the command fetches and writes, about; None where
    that is not known. ``version``: the one that the command installs.
    """

    name: Backend
    reason: str
    command: str
    code: str = ENGINE_MISSING  # or cpu_only_build
    download_bytes: int | None = None
    disk_bytes: int | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything the planner needs to know about a machine. Gathered once per question.

    ``reserved`` is memory promised to deployments that the probe does not show; ``history`` earlier
    starts on this machine, from which margins are learned; ``speeds`` what was measured here, from
    which speeds are learned; ``selected``: the user chose these
    devices, so that a plan must use them.
    """

    inventory: Inventory
    engines: tuple[EngineHere, ...]
    missing: tuple[MissingEngine, ...] = ()
    reserved: tuple[ReservedMemory, ...] = ()
    history: tuple[Measurement, ...] = ()
    speeds: tuple[SpeedMeasurement, ...] = ()
    where: str = "this machine"
    selected: bool = False

    @property
    def simulated(self) -> bool:
        """Whether the hardware is simulated: it has every engine that runs on it."""
        return self.inventory.simulated

    def has(self, name: str) -> bool:
        """Whether this engine is installed, in any build."""
        return any(engine.name == name for engine in self.engines)

    def free_inventory(self) -> Inventory:
        """The hardware without the memory reserved for other deployments."""
        if not self.reserved:
            return self.inventory

        def left(free: int | None, index: int | None) -> int | None:
            promised = sum(item.memory_bytes for item in self.reserved if item.index == index)
            return None if free is None else max(0, free - promised)

        gpus = tuple(
            replace(gpu, free_bytes=left(gpu.free_bytes, gpu.index)) for gpu in self.inventory.gpus
        )
        host = replace(self.inventory.host, free_bytes=left(self.inventory.host.free_bytes, None))
        return replace(self.inventory, gpus=gpus, host=host)


def every_engine(names: Iterable[Backend] = BACKENDS) -> tuple[EngineHere, ...]:
    """The engines of simulated hardware, which is no cluster."""
    alone = (name for name in names if name not in CLUSTER_ONLY)
    return tuple(EngineHere(name, source="simulated") for name in alone)


_EVERY = every_engine()


def simulated_machine(
    inventory: Inventory, *, reserved: tuple[ReservedMemory, ...] = (), where: str | None = None
) -> Machine:
    """Simulated hardware with every engine that runs on it."""
    return Machine(inventory, _EVERY, reserved=reserved, where=where or "the simulated hardware")
