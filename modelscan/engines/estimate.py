"""Memory estimates for any engine: the engine's own estimate, then verdict, margin and speed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.architecture import FULL_CACHE
from modelscan.core.units import format_bytes
from modelscan.engines.registry import engine, engine_for
from modelscan.engines.unmodelled import unmodelled_notes
from modelscan.memory.speed import speed
from modelscan.memory.verdict import Judgement, verdict

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.estimate import DeviceEstimate, Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Backend, Workload


def default_backend(shape: ModelShape) -> Backend:
    """GGUF files run on llama.cpp, everything else on vLLM."""
    return engine_for(shape.format).name


def estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *,
    model: str, backend: Backend | None = None,
) -> Estimate:  # fmt: skip
    """The itemised estimate of one model on one engine.

    ``backend`` None: the workload's, else the one that runs the format. Raises UsageError for an
    unknown engine, NotDeployableError where it cannot run this variant.
    """
    one = engine(backend or workload.backend or default_backend(shape))
    result = one.estimate(shape, workload, inventory, version=workload.backend_version)
    return finish(result, shape, workload, inventory, model)


def finish(
    found: Estimate, shape: ModelShape, workload: Workload, inventory: Inventory | None, model: str
) -> Estimate:
    """Adds what all engines share: name, margin, range, verdict, speed."""
    one = engine(found.backend)
    margin = found.margin_bytes or _margin(found, shape)
    low, high = _range(found, shape, margin)
    judgement = Judgement(found.verdict, found.within_margin)
    if inventory and judgement.verdict is None:
        judgement = verdict(judged(found, inventory), margin)
    return replace(
        found,
        model=model,
        margin_bytes=margin,
        low_bytes=low,
        high_bytes=high,
        verdict=judgement.verdict,
        within_margin=judgement.within_margin,
        speed=found.speed or speed(shape, workload, inventory, found, batching=one.reserves_pool),
        warnings=(
            *found.warnings,
            *_host_warning(found, inventory),
            *unmodelled_notes(one, _without_made(found, workload)),
        ),
    )


def _without_made(found: Estimate, workload: Workload) -> Workload:
    """The workload without the option that makes the estimated format while loading."""
    made = engine(found.backend).online_quantization(found.quantization, found.backend_version)
    if made is None:
        return workload
    own = ("quantization", made.name)
    return replace(workload, parameters=tuple(one for one in workload.parameters if one != own))


def _margin(found: Estimate, shape: ModelShape) -> int:
    gpus = len(found.per_gpu)
    residuals = engine(found.backend).residuals(found.backend_version, gpus)
    return residuals.margin_bytes(found.parts, gpus, shape)


def judged(found: Estimate, inventory: Inventory) -> tuple[DeviceEstimate, ...]:
    """The devices that the verdict compares: the GPUs, or the host if there are none.

    On a unified chip host and GPU share one memory, so the host's part is included.
    """
    host, devices = found.host, []
    unified = {gpu.index for gpu in inventory.gpus if gpu.unified_memory}
    for device in found.per_gpu:
        if host and device.index in unified:
            device = replace(device, total_bytes=device.total_bytes + host.total_bytes)
            host = None
        devices.append(device)
    return tuple(devices) or ((host,) if host else ())


def _host_warning(found: Estimate, inventory: Inventory | None) -> tuple[str, ...]:
    """A warning if the host's part, in addition to GPUs, exceeds its free memory; the planner
    respects it.
    """
    host = found.host
    if not inventory or not found.per_gpu or host is None or host.free_bytes is None:
        return ()
    if any(gpu.unified_memory for gpu in inventory.gpus) or host.total_bytes <= host.free_bytes:
        return ()
    needed, free = format_bytes(host.total_bytes), format_bytes(host.free_bytes)
    return (f"the host's share of {needed} does not fit its {free} of free memory",)


def _range(found: Estimate, shape: ModelShape, margin: int) -> tuple[int | None, int | None]:
    """The size range of an unknown architecture: from no cache at all to a full one in every
    layer, of which an architecture guessed by a model of its series states the bytes.
    """
    if found.basis != "range" or found.low_bytes is not None:
        return found.low_bytes, found.high_bytes
    weights = shape.weights
    low = found.total_bytes - found.parts.kv_cache_bytes - margin
    cache = found.parts.kv_cache_bytes
    full = int(shape.architecture.extra.get(FULL_CACHE, 0)) * found.context_tokens * found.parallel
    high = found.total_bytes + margin + max(0, full - cache)
    if weights.low_bytes is not None and weights.high_bytes is not None:
        low -= max(0, weights.total_bytes - weights.low_bytes)
        high += max(0, weights.high_bytes - weights.total_bytes)
    return max(0, low), high
