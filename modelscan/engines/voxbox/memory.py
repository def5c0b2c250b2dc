"""The memory that GPUStack reserves for a model on VoxBox.

No formula is published for what these models allocate: a recipe of GPUStack's catalog states one
figure per model, its scheduler reserves it, and places the model where it is free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import format_bytes
from modelscan.engines.voxbox import NAME

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.workload import Workload


def estimate(shape: ModelShape, workload: Workload, inventory: Inventory | None) -> Estimate:
    """The reservation, which ``shape`` has as its weights, on one GPU."""
    reserved = shape.weights.total_bytes
    parts = Parts(other_bytes=reserved)
    gpu = _device(workload, inventory)
    return Estimate(
        model="",
        backend=NAME,
        backend_version=workload.backend_version,
        quantization=shape.quantization,
        context_tokens=workload.context_tokens or shape.architecture.context_tokens or 0,
        parallel=1,
        tensor_parallel=1,
        parts=parts,
        total_bytes=reserved,
        per_gpu=() if gpu is None else (_on(gpu, parts),),
        kv_bytes_per_token=0,
        kv_capacity_tokens=None,
        max_concurrency=None,
        basis="computed",
        margin_bytes=0,
        assumptions=(f"GPUStack reserves {format_bytes(reserved)}, as its recipe states",),
    )


def _device(workload: Workload, inventory: Inventory | None) -> Gpu | None:
    """The chosen device with the most free memory."""
    gpus = inventory.gpus if inventory else ()
    if workload.gpus is not None:
        gpus = tuple(gpu for gpu in gpus if gpu.index in workload.gpus)
    return max(gpus, key=lambda gpu: gpu.free_bytes or gpu.memory_bytes or 0, default=None)


def _on(gpu: Gpu, parts: Parts) -> DeviceEstimate:
    return DeviceEstimate(
        index=gpu.index, parts=parts, total_bytes=parts.total_bytes,
        memory_bytes=gpu.memory_bytes, free_bytes=gpu.free_bytes,
    )  # fmt: skip
