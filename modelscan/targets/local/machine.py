"""This machine as the planner's input: hardware, engines, reserved memory, earlier starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.machine import Machine, simulated_machine

if TYPE_CHECKING:
    from modelscan.core.gpu import Inventory
    from modelscan.state.config import Config
    from modelscan.state.store import Store


def this_machine(
    config: Config,
    store: Store | None,
    gpu: str | None = None,
    name: str | None = None,
    *,
    backend: str | None = None,
) -> Machine:
    """This machine, or the simulated one of ``gpu`` (``--gpu``).

    ``name`` is the deployment to plan: its own memory is not reserved against it. ``backend``: an
    engine requested by name, searched on any hardware. Without a ``store`` nothing is reserved and
    there is no history. Raises UsageError for a ``gpu`` that is not here or not known.
    """
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    hardware = inventory(gpu, ProbeHost.from_config(config))
    if hardware.simulated:
        return simulated_machine(hardware, where=_simulated_name(hardware, gpu))
    from modelscan.targets.local.engines import engines_here
    from modelscan.targets.local.reserved import held_bytes

    installed, lacking = engines_here(hardware, config, backend)
    return Machine(
        inventory=hardware,
        engines=installed,
        missing=lacking,
        reserved=held_bytes(store, name or "") if store else (),
        history=store.measurements() if store else (),
        selected=gpu is not None,
    )


def _simulated_name(hardware: Inventory, gpu: str | None) -> str:
    return f"a machine with {gpu}" if hardware.gpus else "a machine without a GPU"
