"""Memory of deployments on this machine that the probe does not show yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.deployment_state import ACTIVE_STATES, State
from modelscan.core.plan import ReservedMemory
from modelscan.core.units import GIB
from modelscan.planner.feasibility import host_free
from modelscan.supervisor.processes import memory_bytes

if TYPE_CHECKING:
    from modelscan.core.estimate import DeviceEstimate, Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.state.config import Config
    from modelscan.state.store import Store

_NOT_YET_SEEN = (State.PENDING, State.DOWNLOADING, State.STARTING)


def held_bytes(store: Store, name: str) -> tuple[ReservedMemory, ...]:
    """Memory promised to other deployments that the probe of free memory does not show.

    While one starts: everything. While one runs: on GPUs nothing, in host memory what it has not
    touched yet and its mapped weights, which the kernel counts as available.
    """
    held: list[ReservedMemory] = []
    for other in store.all():
        if other.name == name or other.target != "local" or other.plan is None:
            continue
        starting = other.state in _NOT_YET_SEEN
        if not starting and other.state is not State.RUNNING:
            continue
        estimate = other.plan.estimate
        devices = estimate.per_gpu if starting else ()
        held += [ReservedMemory(device.index, reserved_bytes(device)) for device in devices]
        resident = (memory_bytes(other.pid)[1] or 0) if other.pid else 0
        host = host_bytes(estimate) - resident
        if host > 0:
            held.append(ReservedMemory(None, host))
    return tuple(held)


def promised(
    hardware: Inventory, config: Config, store: Store, name: str, *, kept_bytes: int = 0
) -> tuple[ReservedMemory, ...]:
    """What is free on this hardware and yet not for ``name``: promised to others, or more than the
    setting ``deployments_memory_gib`` gives to all deployments together.

    ``kept_bytes``: of the host, which the caller keeps for the system anyway.
    """
    held = held_bytes(store, name)
    budget = config.deployments_memory_gib
    if budget is None:
        return held
    used = sum(
        host_bytes(row.plan.estimate)
        for row in store.all()
        if row.plan and row.name != name and row.target == "local" and row.state in ACTIVE_STATES
    )
    free = host_free(hardware) - sum(one.memory_bytes for one in held if one.index is None)
    beyond = free - kept_bytes - max(0, int(budget * GIB) - used)
    return (*held, ReservedMemory(None, beyond)) if beyond > 0 else held


def reserved_bytes(device: DeviceEstimate) -> int:
    """Bytes that an engine will allocate on a device: vLLM and SGLang reserve their whole pool."""
    total, pool = device.total_bytes, device.kv_pool_bytes
    if pool is None:
        return total
    cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
    return max(total, total - cache + pool)


def host_bytes(estimate: Estimate) -> int:
    """Bytes of host memory that an engine will allocate."""
    if estimate.host:
        return estimate.host.total_bytes
    return 0 if estimate.per_gpu else estimate.total_bytes
