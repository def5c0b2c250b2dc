"""Where llama.cpp puts what: layers over GPUs, experts and the embedding on the host.

Follows ``llama_model_base::load_tensors`` (src/llama-model.cpp, b11549): the last
``n_gpu_layers`` layers, the output counting as one, are dealt to the devices in order, in
proportion to ``--tensor-split`` or to free memory; the token embedding stays on the host.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.core.gpu import Gpu
from modelscan.engines.llamacpp.given import option, switched
from modelscan.engines.llamacpp.overrides import HOST, UNMOVED, MovedWeights, moved, overrides
from modelscan.engines.llamacpp.settings import whole_number

if TYPE_CHECKING:
    from modelscan.core.architecture import ModelShape
    from modelscan.core.workload import Workload


@dataclass(frozen=True, slots=True)
class Placement:
    """Per layer the device's place in ``gpus`` (HOST = host); ``host_experts``: layers whose
    routed experts stay on the host. ``kv_on_host`` for --no-kv-offload. ``prediction``: places of
    the multi-token-prediction blocks, ``moved``: weights on another device than their layer.
    ``drafts_pipelined``: of a drafting context, whose model is divided over several devices.
    """

    gpus: tuple[Gpu, ...]
    layers: tuple[int, ...]
    output: int
    host_experts: frozenset[int]
    kv_on_host: bool
    prediction: tuple[int, ...] = ()
    moved: MovedWeights = UNMOVED
    drafts_pipelined: bool = False

    @property
    def devices(self) -> tuple[int, ...]:
        """Every place in use, the host last."""
        return (*range(len(self.gpus)), HOST)

    @property
    def pipelined(self) -> bool:
        """Whether several devices hold layers and nothing is on the host: batches overlap.

        llama.cpp asks this of the model, not of the blocks that a context computes.
        """
        if self.drafts_pipelined:
            return True
        used = {*self.layers, self.output}
        alone = self.host_experts or self.kv_on_host or self.moved.bytes
        return len(used) > 1 and HOST not in used and not alone

    @property
    def computes_on_host(self) -> bool:
        """Whether some layer, or some of its weights, are in host memory."""
        held = self.host_experts or any(there == HOST for _, there in self.moved.bytes)
        return HOST in (*self.layers, self.output) or bool(held)


def place(shape: ModelShape, workload: Workload, gpus: tuple[Gpu, ...]) -> Placement:
    """The placement. Raises UsageError for values llama.cpp does not accept."""
    count = len(shape.architecture.layers)
    stored = count + shape.architecture.mtp_layers
    offloaded = _gpu_layers(workload, stored) if gpus else 0
    weights = _shares(workload, gpus)
    homes = _homes(stored, offloaded, weights)
    rules = overrides(workload, len(gpus))
    return Placement(
        gpus=gpus,
        layers=homes[:count],
        output=homes[stored],
        host_experts=_host_experts(workload, count) if gpus else frozenset(),
        kv_on_host=switched(workload, "no-kv-offload", "kv-offload"),
        prediction=homes[count:stored],
        moved=moved(shape.tensors, rules, homes[:count], homes[stored]) if gpus else UNMOVED,
    )


@functools.lru_cache(maxsize=256)
def _homes(stored: int, offloaded: int, shares: tuple[float, ...]) -> tuple[int, ...]:
    """The places of the ``stored`` blocks and of the output, which counts as one more."""
    start = max(stored + 1 - offloaded, 0)
    active = min(offloaded, stored + 1)
    return tuple(_home(index, start, active, shares) for index in range(stored + 1))


def _home(index: int, start: int, active: int, shares: tuple[float, ...]) -> int:
    if not active or not start <= index < start + active:
        return HOST
    return min(bisect_right(shares, (index - start) / active), len(shares) - 1)


def _gpu_layers(workload: Workload, stored: int) -> int:
    value = option(workload, "n-gpu-layers")
    if value is None or value in ("all", "auto", "true") or value.startswith("-"):
        return stored + 1  # -1 auto, -2 all
    return whole_number("n-gpu-layers", value)


def _shares(workload: Workload, gpus: tuple[Gpu, ...]) -> tuple[float, ...]:
    """Cumulated shares of the devices, ending at 1."""
    parts = [float(gpu.free_bytes or gpu.memory_bytes or 1) for gpu in gpus]
    text = option(workload, "tensor-split")
    if text:
        proportions = _proportions(text)
        proportions = (proportions + [0.0] * len(gpus))[: len(gpus)]
        parts = proportions if sum(proportions) > 0 else parts
    total = sum(parts) or 1.0
    return tuple(part / total for part in accumulate(parts))


def shared_devices(workload: Workload) -> int:
    """How many GPUs the proportions of ``tensor-split`` name; 0 without one."""
    text = option(workload, "tensor-split")
    shares = _proportions(text) if text else []
    return max((count for count, share in enumerate(shares, 1) if share), default=0)


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
    if switched(workload, "cpu-moe"):
        return frozenset(range(count))
    value = option(workload, "n-cpu-moe")
    if value is None:
        return frozenset()
    return frozenset(range(min(whole_number("n-cpu-moe", value), count)))
