"""Memory of this machine for its deployments: what is free, what each holds, what each needs.

``ready_to_start`` refuses a start by these numbers, and the gateway decides by them which
deployment makes room for another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import ACTIVE_STATES
from modelscan.core.machine import Machine
from modelscan.planner.feasibility import available_bytes, free_bytes, host_free
from modelscan.targets.local.reserved import host_bytes, promised, reserved_bytes

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.gpu import Inventory
    from modelscan.state.config import Config
    from modelscan.state.store import Store

HOST = None
"""The key of host memory; GPUs have their index."""
Pools = Mapping[int | None, int]


@dataclass(frozen=True, slots=True)
class MemoryNow:
    """Bytes by pool (a GPU's index, or HOST). ``needs``: of deployments that do not run, by name;
    ``least``: less the estimate's margin, below which a start is refused. ``holds``: what ending a
    running one makes free.
    """

    free: Pools
    needs: Mapping[str, Pools]
    least: Mapping[str, Pools]
    holds: Mapping[str, Pools]


def memory_now(config: Config, store: Store) -> MemoryNow:
    """Measured now, less what is promised to deployments that did not touch it yet."""
    free = _free(config, store, "")
    rows = [row for row in store.all() if row.target == "local" and row.plan is not None]
    running = [row for row in rows if row.state in ACTIVE_STATES]
    return MemoryNow(
        free={HOST: host_free(free), **{gpu.index: free_bytes(gpu) for gpu in free.gpus}},
        needs={row.name: needed_pools(row) for row in rows if row not in running},
        least={row.name: needed_pools(row, least=True) for row in rows if row not in running},
        holds={row.name: _held(row) for row in running},
    )


def needed_pools(row: Deployment, *, least: bool = False) -> Pools:
    """What it needs to start; {} where that is not checked: forced, partly on the CPU."""
    plan = row.plan
    forced = row.request is not None and row.request.workload.force
    if plan is None or forced or plan.offload == "partial":
        return {}
    estimate = plan.estimate
    margin = estimate.margin_bytes if least else 0
    if not plan.gpus:
        return {HOST: max(0, estimate.total_bytes - margin)}
    margin //= len(plan.gpus)
    return {one.index: max(0, reserved_bytes(one) - margin) for one in estimate.per_gpu}


def _held(row: Deployment) -> Pools:
    assert row.plan is not None
    estimate = row.plan.estimate
    gpus = {one.index: reserved_bytes(one) for one in estimate.per_gpu}
    return {**gpus, HOST: host_bytes(estimate)}


def room_for(row: Deployment, config: Config, store: Store) -> tuple[int, int]:
    """(needed, available) bytes of a deployment's devices; (0, …) where nothing is checked."""
    plan = row.plan
    if plan is None or not needed_pools(row):
        return 0, 0
    free = _free(config, store, row.name)
    gpus = tuple(gpu for gpu in free.gpus if gpu.index in plan.gpus)
    needed = plan.estimate.total_bytes - plan.estimate.margin_bytes
    return needed, available_bytes(gpus, free)


def _free(config: Config, store: Store, name: str) -> Inventory:
    """The hardware without what is promised to other deployments than ``name``."""
    from modelscan.gpu.inventory import inventory
    from modelscan.gpu.probe_host import ProbeHost

    hardware = inventory(None, ProbeHost.from_config(config))
    reserved = promised(hardware, config, store, name)
    return Machine(hardware, engines=(), reserved=reserved).free_inventory()
