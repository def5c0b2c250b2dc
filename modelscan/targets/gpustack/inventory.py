"""The cluster's workers as hardware for the planner. Pure."""

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
    """Every GPU of the ready workers, numbered in a stable order.

    Free memory is the smaller of what GPUStack has not allocated and what no process uses:
    ``allocated`` includes models that are starting, ``used`` other processes. ``host`` is the sum
    over ready workers. ``engines`` are those the server has, whatever else a card supports.
    """
    from modelscan.gpu.enrich import enrich

    ready = sorted((w for w in workers if w.state == READY), key=lambda w: w.name)
    allocated = {device.id: device for device in devices}
    gpus: list[Gpu] = []
    for worker in ready:
        for gpu in sorted(worker.gpus, key=lambda g: g.index):
            enriched = enrich(_gpu(allocated.get(gpu.id, gpu), len(gpus)))
            served = tuple(name for name in enriched.backends if name in engines)
            gpus.append(replace(enriched, backends=served))
    problems = tuple(_problem(w) for w in workers if w.state != READY)
    return Inventory(tuple(gpus), _host(ready), problems, source=target)


def _gpu(device: RemoteGpu, index: int) -> Gpu:
    total = device.total_bytes
    unavailable = max(device.allocated_bytes or 0, device.used_bytes or 0)
    return Gpu(
        index=index,
        name=device.name,
        vendor=device.vendor or "unknown",
        memory_bytes=total,
        free_bytes=max(0, total - unavailable) if total is not None else None,
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
        numbers = [value for value in values if value is not None]
        return sum(numbers) if numbers else None

    return Host(
        cpus=total([w.cpus for w in workers]),
        memory_bytes=total([w.memory_bytes for w in workers]),
        free_bytes=total([w.free_bytes for w in workers]),
    )


def _problem(worker: RemoteWorker) -> Problem:
    message = f"worker {worker.name} is {worker.state}"
    if worker.state_message:
        message += f": {worker.state_message}"
    return Problem("worker_not_ready", message, "read the worker's log in GPUStack")
