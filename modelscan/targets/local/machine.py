"""This machine as the planner must know it: hardware, engines, promised memory, earlier starts."""

from __future__ import annotations

from modelscan.core.gpu import Inventory
from modelscan.core.machine import Machine, simulated_machine
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.local.engines import engines_here
from modelscan.targets.local.reserved import held_bytes


def this_machine(
    config: Config,
    store: Store | None,
    gpu: str | None = None,
    name: str | None = None,
    *,
    backend: str | None = None,
) -> Machine:
    """This machine, or the simulated one of ``gpu`` (``--gpu``).

    ``name`` is the deployment that the question is about: its own memory is not promised to others.
    ``backend``: an engine that was asked for by name, to be looked for whatever the hardware.
    Without a ``store`` nothing is promised and nothing was measured. Raises UsageError for a
    ``gpu`` that is not here or not known.
    """
    from modelscan.gpu.inventory import inventory

    hardware = inventory(gpu)
    if hardware.simulated:
        return simulated_machine(hardware, where=_simulated_name(hardware, gpu))
    here, lacking = engines_here(hardware, config, backend)
    return Machine(
        inventory=hardware,
        engines=here,
        missing=lacking,
        reserved=held_bytes(store, name or "") if store else (),
        history=store.measurements() if store else (),
        selected=gpu is not None,
    )


def _simulated_name(hardware: Inventory, gpu: str | None) -> str:
    return f"a machine with {gpu}" if hardware.gpus else "a machine without a GPU"
