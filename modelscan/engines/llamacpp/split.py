"""Where llama.cpp puts what: layers over GPUs, experts and the embedding on the host.

Follows ``llama_model_base::load_tensors`` (src/llama-model.cpp, b11549): the last
``n_gpu_layers`` layers, the output counting as one, are dealt to the devices in order, in
proportion to ``--tensor-split`` or to free memory; the token embedding stays on the host.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu
from modelscan.engines.llamacpp.settings import whole_number

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.workload import Workload

HOST = -1
_TRUE = ("", "true", "1", "on", "yes")


@dataclass(frozen=True, slots=True)
class Placement:
    """Per layer the device's place in ``gpus`` (HOST = host); ``host_experts``: layers whose
    routed experts stay on the host. ``kv_on_host`` for --no-kv-offload.
    """

    gpus: tuple[Gpu, ...]
    layers: tuple[int, ...]
    output: int
    host_experts: frozenset[int]
    kv_on_host: bool

    @property
    def devices(self) -> tuple[int, ...]:
        """Every place in use, the host last."""
        return (*range(len(self.gpus)), HOST)

    @property
    def pipelined(self) -> bool:
        """Whether several devices hold layers and nothing is on the host: batches overlap."""
        used = {*self.layers, self.output}
        return len(used) > 1 and HOST not in used and not self.host_experts and not self.kv_on_host


def place(shape: ModelShape, workload: Workload, gpus: tuple[Gpu, ...]) -> Placement:
    """The placement. Raises UsageError for values llama.cpp does not accept."""
    count = len(shape.architecture.layers)
    stored = count + shape.architecture.mtp_layers
    offloaded = _gpu_layers(workload, stored) if gpus else 0
    weights = _shares(workload, gpus)
    start = max(stored + 1 - offloaded, 0)
    active = min(offloaded, stored + 1)
    homes = [_home(index, start, active, weights) for index in range(stored + 1)]
    return Placement(
        gpus=gpus,
        layers=tuple(homes[:count]),
        output=homes[stored],
        host_experts=_host_experts(workload, count) if gpus else frozenset(),
        kv_on_host=workload.parameter("no-kv-offload") in _TRUE
        or workload.parameter("nkvo") in _TRUE,
    )


def _home(index: int, start: int, active: int, shares: list[float]) -> int:
    if not active or not start <= index < start + active:
        return HOST
    return min(bisect_right(shares, (index - start) / active), len(shares) - 1)


def _gpu_layers(workload: Workload, stored: int) -> int:
    for name in ("n-gpu-layers", "gpu-layers", "ngl"):
        value = workload.parameter(name)
        if value is None or value in ("all", "auto", "true"):
            continue
        if value.startswith("-"):
            return stored + 1  # -1 auto, -2 all
        return whole_number(name, value)
    return stored + 1


def _shares(workload: Workload, gpus: tuple[Gpu, ...]) -> list[float]:
    """Cumulated shares of the devices, ending at 1."""
    parts = [float(gpu.free_bytes or gpu.memory_bytes or 1) for gpu in gpus]
    text = workload.parameter("tensor-split") or workload.parameter("ts")
    if text:
        proportions = _proportions(text)
        proportions = (proportions + [0.0] * len(gpus))[: len(gpus)]
        parts = proportions if sum(proportions) > 0 else parts
    total = sum(parts) or 1.0
    return [part / total for part in accumulate(parts)]


def _proportions(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.replace("/", ",").split(",")]
    except ValueError:
        shares = [-1.0]
    if not all(0 <= share < 1e9 for share in shares):
        raise UsageError(
            f"llama.cpp's --tensor-split takes numbers, not '{text[:40]}'",
            hint="write it like --param tensor-split=3,1",
        )
    return shares


def _host_experts(workload: Workload, count: int) -> frozenset[int]:
    if workload.parameter("cpu-moe") in _TRUE or workload.parameter("cmoe") in _TRUE:
        return frozenset(range(count))
    value = workload.parameter("n-cpu-moe") or workload.parameter("ncmoe")
    if value is None:
        return frozenset()
    return frozenset(range(min(whole_number("n-cpu-moe", value), count)))
