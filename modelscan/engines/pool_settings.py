"""Settings that engines with a KV pool resolve alike: degrees, devices, the cache's type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.engines.option_values import ranks, whole

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.workload import Workload
    from modelscan.engines.option_names import OptionNames

# Every spelling of a degree, of any of these engines.
DEGREES = ("tensor-parallel-size", "tp-size", "tp", "pipeline-parallel-size", "pp-size")
_GGML_TYPE = re.compile(r"(?:i?q\d|f32$)")


def degrees(workload: Workload, names: OptionNames) -> tuple[int, int]:
    """(tensor, pipeline) parallel degrees; the number of chosen GPUs where none was given.

    Raises UsageError beyond any machine.
    """
    pipeline = workload.pipeline_parallel or whole(workload, *names.pipeline_parallel) or 1
    tensor = workload.tensor_parallel or whole(workload, *names.tensor_parallel)
    if not tensor and workload.gpus:
        tensor = max(1, len(workload.gpus) // pipeline)
    return ranks(tensor, pipeline)


def selected_gpus(workload: Workload, inventory: Inventory | None, count: int) -> tuple[Gpu, ...]:
    """The devices in use: the chosen ones, else those with the most free memory."""
    if inventory is None:
        return ()
    if workload.gpus is not None:
        by_index = {gpu.index: gpu for gpu in inventory.gpus}
        return tuple(by_index[index] for index in workload.gpus if index in by_index)[:count]
    ranked = sorted(inventory.gpus, key=lambda gpu: (-(gpu.free_bytes or 0), gpu.index))
    return tuple(sorted(ranked[:count], key=lambda gpu: gpu.index))


def kv_dtype(workload: Workload, title: str, names: OptionNames) -> str:
    """The KV cache's type, ``auto`` by default. Raises UsageError for llama.cpp's types."""
    kind = _option(workload, names.kv_cache) or workload.kv_cache_k or "auto"
    if _GGML_TYPE.match(kind.lower()):
        raise UsageError(
            f"{title} has no cache type '{kind.lower()}'",
            hint="--kv-cache fp8 halves the cache there; q8_0 and q4_0 are llama.cpp's",
        )
    return kind.lower()


def _option(workload: Workload, names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := workload.parameter(name))), None)
