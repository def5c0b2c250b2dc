"""The cluster's workers as hardware: the GPUs that count are theirs, not this machine's. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.core.gpu import Gpu, Host, Inventory, Problem
from modelscan.engines.registry import engines
from modelscan.targets.gpustack.types import RemoteGpu, RemoteWorker

READY = "ready"
_POOL_ENGINES = tuple(one.name for one in engines() if one.reserves_pool)
SOURCE = "gpustack"


def inventory(
    workers: Sequence[RemoteWorker],
    devices: Sequence[RemoteGpu],
    target: str,
    engines: Sequence[str] = _POOL_ENGINES,
) -> Inventory:
    """Every GPU of the ready workers, numbered through in a stable order.

    Free memory is what GPUStack has not promised and no process holds, whichever is less:
    ``allocated`` counts models that are still starting, ``used`` what others hold. ``host`` is the
    sum over ready workers. ``engines`` are those the server has, whatever else a card could do.
    """
    from modelscan.gpu.enrich import enrich

    ready = sorted((w for w in workers if w.state == READY), key=lambda w: w.name)
    allocated = {device.id: device for device in devices}
    gpus: list[Gpu] = []
    for worker in ready:
        for gpu in sorted(worker.gpus, key=lambda g: g.index):
            found = enrich(_gpu(allocated.get(gpu.id, gpu), len(gpus)))
            served = tuple(name for name in found.backends if name in engines)
            gpus.append(replace(found, backends=served))
    problems = tuple(_problem(w) for w in workers if w.state != READY)
    return Inventory(tuple(gpus), _host(ready), problems, source=target)


def _gpu(device: RemoteGpu, index: int) -> Gpu:
    total = device.total_bytes
    taken = max(device.allocated_bytes or 0, device.used_bytes or 0)
    return Gpu(
        index=index,
        name=device.name,
        vendor=device.vendor or "unknown",
        memory_bytes=total,
        free_bytes=max(0, total - taken) if total is not None else None,
        used_bytes=device.used_bytes,
        source=SOURCE,
        uuid=device.id,
        compute_capability=device.compute_capability,
        driver_version=device.driver_version,
        unified_memory=device.unified_memory,
        visible_index=device.index,
        worker=device.worker,
    )


def _host(workers: Sequence[RemoteWorker]) -> Host:
    def total(values: list[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    return Host(
        cpus=total([w.cpus for w in workers]),
        memory_bytes=total([w.memory_bytes for w in workers]),
        free_bytes=total([w.free_bytes for w in workers]),
    )


def _problem(worker: RemoteWorker) -> Problem:
    message = f"worker {worker.name} is {worker.state}"
    if worker.state_message:
        message += f": {worker.state_message}"
    return Problem("worker_not_ready", message, "look at the worker's log in GPUStack")
