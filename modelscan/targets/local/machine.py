"""This machine as the planner's input: hardware, engines, reserved memory, earlier starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from modelscan.core.machine import Machine, simulated_machine

if TYPE_CHECKING:
    from modelscan.core.container import ContainerRuntime
    from modelscan.core.gpu import Inventory
    from modelscan.core.plan import ReservedMemory
    from modelscan.core.workload import Workload
    from modelscan.state.config import Config
    from modelscan.state.store import Store
    from modelscan.targets.local.engines import Engines


class Containers(NamedTuple):
    """Engines are to run in containers. ``image``: the one that the user named; ``assumed``: as if
    every image were here, for a preview.
    """

    runtime: ContainerRuntime
    wishes: Workload
    image: str | None = None
    assumed: bool = False


def this_machine(
    config: Config,
    store: Store | None,
    gpu: str | None = None,
    name: str | None = None,
    *,
    backend: str | None = None,
    containers: Containers | None = None,
) -> Machine:
    """This machine, or the simulated one of ``gpu`` (``--gpu``).

    ``name`` is the deployment to plan: its own memory is not reserved against it. ``backend``: an
    engine requested by name, searched on any hardware. ``containers``: the engines are those in
    images instead of those that are installed. Without a ``store`` nothing is reserved and
    there is no history. Raises UsageError for a ``gpu`` that is not here or not known.
    """
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    hardware = inventory(gpu, ProbeHost.from_config(config))
    if hardware.simulated:
        return simulated_machine(hardware, where=_simulated_name(hardware, gpu))
    installed, lacking = _engines(hardware, config, backend, containers)
    return Machine(
        inventory=hardware,
        engines=installed,
        missing=lacking,
        reserved=_promised(hardware, config, store, name or "") if store else (),
        history=store.measurements() if store else (),
        speeds=store.speeds() if store else (),
        selected=gpu is not None,
    )


def _promised(
    hardware: Inventory, config: Config, store: Store, name: str
) -> tuple[ReservedMemory, ...]:
    """The planner keeps a part of the host for the system, in addition to what is promised."""
    from modelscan.planner.feasibility import system_reserve
    from modelscan.targets.local.reserved import promised

    return promised(hardware, config, store, name, kept_bytes=system_reserve(hardware))


def _engines(
    hardware: Inventory, config: Config, backend: str | None, containers: Containers | None
) -> Engines:
    if containers is not None:
        from modelscan.targets.local.containers import container_engines

        return container_engines(hardware, *containers)
    from modelscan.targets.local.engines import engines_here

    return engines_here(hardware, config, backend)


def _simulated_name(hardware: Inventory, gpu: str | None) -> str:
    return f"a machine with {gpu}" if hardware.gpus else "a machine without a GPU"
