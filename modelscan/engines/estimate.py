"""How many bytes, on any engine: dispatch, then verdict, margin and speed."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Protocol, cast

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import UsageError
from modelscan.core.estimate import DeviceEstimate, Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.units import format_bytes
from modelscan.core.workload import BACKENDS, Workload
from modelscan.engines import margin as margins
from modelscan.memory.speed import speed
from modelscan.memory.verdict import Judgement, verdict

_MODULES = {"llama.cpp": "llamacpp", "vllm": "vllm", "sglang": "sglang", "ollama": "ollama"}


class Engine(Protocol):
    """What an engine's module offers."""

    def estimate(
        self,
        shape: ModelShape,
        workload: Workload,
        inventory: Inventory | None,
        *,
        version: str | None = None,
    ) -> Estimate: ...


def default_backend(shape: ModelShape) -> str:
    """GGUF files run on llama.cpp, everything else on vLLM."""
    return "llama.cpp" if shape.format == "gguf" else "vllm"


def estimate(
    shape: ModelShape, workload: Workload, inventory: Inventory | None, *,
    model: str, backend: str | None = None,
) -> Estimate:  # fmt: skip
    """The itemised estimate of one model on one engine.

    ``backend`` None: the workload's, else the one that runs the format. Raises UsageError for an
    unknown engine, NotDeployableError where it cannot run this variant.
    """
    name = backend or workload.backend or default_backend(shape)
    if name not in _MODULES:
        raise UsageError(
            f"there is no backend '{name}'", hint="--backend " + "|".join(BACKENDS)
        )  # fmt: skip
    engine = cast(Engine, importlib.import_module(f"modelscan.engines.{_MODULES[name]}.memory"))
    found = engine.estimate(shape, workload, inventory, version=workload.backend_version)
    return finish(found, shape, workload, inventory, model)


def finish(
    found: Estimate, shape: ModelShape, workload: Workload, inventory: Inventory | None, model: str
) -> Estimate:
    """Add what all engines share: name, margin, range, verdict, speed."""
    margin = found.margin_bytes or margins.margin_bytes(found, shape)
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
        speed=found.speed or speed(shape, workload, inventory, found),
        warnings=(*found.warnings, *_host_warning(found, inventory)),
    )


def judged(found: Estimate, inventory: Inventory) -> tuple[DeviceEstimate, ...]:
    """The devices the verdict is about: the GPUs, or the host where there are none.

    On a unified chip host and GPU draw on the same memory, so the host's share counts there.
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
    """Beside GPUs the host has a share of its own to hold; the planner keeps to it."""
    host = found.host
    if not inventory or not found.per_gpu or host is None or host.free_bytes is None:
        return ()
    if any(gpu.unified_memory for gpu in inventory.gpus) or host.total_bytes <= host.free_bytes:
        return ()
    needed, free = format_bytes(host.total_bytes), format_bytes(host.free_bytes)
    return (f"the host's share of {needed} does not fit its {free} of free memory",)


def _range(found: Estimate, shape: ModelShape, margin: int) -> tuple[int | None, int | None]:
    """An unknown architecture: from a model without any cache to one that keeps all of it."""
    if found.basis != "range" or found.low_bytes is not None:
        return found.low_bytes, found.high_bytes
    weights = shape.weights
    low = found.total_bytes - found.parts.kv_cache_bytes - margin
    high = found.total_bytes + margin
    if weights.low_bytes is not None and weights.high_bytes is not None:
        low -= max(0, weights.total_bytes - weights.low_bytes)
        high += max(0, weights.high_bytes - weights.total_bytes)
    return max(0, low), high
