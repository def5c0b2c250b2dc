"""What a decision weighs: one case for all options, and what became of each option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.estimate import DeviceEstimate, Estimate
from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.measurement import Measurement
from modelscan.core.units import MIB
from modelscan.core.workload import Workload
from modelscan.engines.flags import Launch, Options
from modelscan.planner.search import Option

Estimator = Callable[[ModelShape, Workload, Inventory], Estimate]

DEFAULT_CONTEXT_TOKENS = 32_768  # what a chat with documents and tools needs; not a limit
MINIMUM_CONTEXT_TOKENS = 4_096  # below this a chat model is of little use
EMBEDDING_CONTEXT_TOKENS = 8_192
_SPARE_UTILIZATION_BYTES = 256 * MIB


@dataclass(frozen=True, slots=True)
class FittingOption:
    """An option that fits. ``offload``: none | partial | cpu (there is a GPU, unused)."""

    option: Option
    launch: Launch
    chosen: Options
    estimate: Estimate
    target_tokens: int
    offload: str = "none"
    notes: tuple[str, ...] = ()

    @property
    def tight(self) -> bool:
        """It starts, but an error of the estimate's own size would stop it."""
        verdict = self.estimate.verdict
        if verdict == "tight":
            return not self.crowded
        return verdict == "fits" and worst_case_overflows(self.estimate)

    @property
    def crowded(self) -> bool:
        """An engine with a pool starts safely, but not all requests fit at full length at once."""
        return self.estimate.verdict == "tight" and short_of_slots_only(self.estimate)


@dataclass(frozen=True, slots=True)
class DoesNotFit:
    """An option that does not fit. ``needed_bytes`` against ``available_bytes`` of its devices.

    ``bound``: the weights alone are too large, nothing else was counted.
    """

    option: Option
    needed_bytes: int
    available_bytes: int
    reason: str
    bound: bool = False


@dataclass(frozen=True, slots=True)
class PlanningContext:
    """What all options of one decision share."""

    inventory: Inventory
    wanted: Workload
    task: str
    estimate: Estimator
    offload: bool = True  # whether llama.cpp may keep part of the model in host memory


def estimator(model: str, history: Sequence[Measurement] = ()) -> Estimator:
    """``memory.estimate`` for one model, with margins that this machine's history teaches."""
    from modelscan.engines.estimate import estimate

    def call(shape: ModelShape, workload: Workload, inventory: Inventory) -> Estimate:
        return estimate(shape, workload, inventory, model=model)

    if not history:
        return call
    from modelscan.engines.margin_history import with_history

    return lambda *asked: with_history(call(*asked), history)


def target_context(architecture: Architecture, wanted: Workload, task: str) -> int:
    """The context to aim at: asked for, else by task and goal, at most what was trained."""
    if wanted.context_tokens:
        return wanted.context_tokens
    trained = architecture.context_tokens
    if task in ("embedding", "rerank"):
        return min(trained or 512, EMBEDDING_CONTEXT_TOKENS)
    if wanted.goal == "context":
        return trained or DEFAULT_CONTEXT_TOKENS
    return min(trained or MINIMUM_CONTEXT_TOKENS, DEFAULT_CONTEXT_TOKENS)


def available_bytes(gpus: tuple[Gpu, ...], inventory: Inventory) -> int:
    """Free bytes of a set of devices, or of the host for ()."""
    if not gpus:
        return host_free(inventory)
    return sum(free_bytes(gpu) for gpu in gpus)


def free_bytes(gpu: Gpu) -> int:
    """Free memory; where only the total is known, that."""
    return (gpu.free_bytes if gpu.free_bytes is not None else gpu.memory_bytes) or 0


def host_free(inventory: Inventory) -> int:
    host = inventory.host
    return (host.free_bytes if host.free_bytes is not None else host.memory_bytes) or 0


def short_of_slots_only(estimate: Estimate) -> bool:
    """Tight for no other reason than that ``parallel`` requests do not fit into the pool at once:
    one does, with the margin to spare, and what is beside the pool fits as well.
    """
    if estimate.parallel < 2 or not estimate.per_gpu:
        return False
    margin = estimate.margin_bytes // len(estimate.per_gpu)
    for device in estimate.per_gpu:
        pool, free = device.kv_pool_bytes, device.free_bytes
        if pool is None or device.budget_bytes is None:
            return False
        cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
        beside = device.total_bytes - cache
        if pool - cache // estimate.parallel < margin or (
            free is not None and beside + pool > free
        ):
            return False
    return not worst_case_overflows(estimate)


def worst_case_overflows(estimate: Estimate) -> bool:
    """Whether the upper end of a range would not fit: a guessed shape must leave room for it."""
    if estimate.basis != "range" or estimate.high_bytes is None:
        return False
    more = estimate.high_bytes - estimate.total_bytes
    shares = estimate.per_gpu or devices(estimate)
    for device in shares:
        share = more * device.total_bytes // max(1, estimate.total_bytes)
        cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
        pool = device.budget_bytes is not None and device.kv_pool_bytes is not None
        if pool:  # only the pool gives way
            if cache // max(1, estimate.parallel) + share > (device.kv_pool_bytes or 0):
                return True
            continue
        if device.free_bytes is not None and device.total_bytes + share > device.free_bytes:
            return True
    return False


def devices(estimate: Estimate) -> tuple[DeviceEstimate, ...]:
    return (*estimate.per_gpu, *((estimate.host,) if estimate.host else ()))


def fits_gpus(found: FittingOption) -> bool:
    """The engine's own verdict: each device by itself, with the margin."""
    return (found.estimate.verdict in ("fits", None) or found.crowded) and not found.tight


def fits(found: FittingOption) -> bool:
    """And for llama.cpp with GPUs the host's share as well."""
    host = found.estimate.host
    if not fits_gpus(found):
        return False
    if found.estimate.per_gpu and host is not None and host.free_bytes is not None:
        return host.total_bytes <= host.free_bytes
    return True


def spare(estimate: Estimate) -> float:
    """What the fullest GPU has left beside its share of the margin."""
    margin = estimate.margin_bytes / max(1, len(estimate.per_gpu))
    return min((-missing(device) - margin for device in estimate.per_gpu), default=0.0)


def beside_share(device: DeviceEstimate) -> int:
    """What a pool engine takes beside its share of the device: context, graphs, communication."""
    parts = device.parts
    cache = parts.kv_cache_bytes + parts.recurrent_state_bytes
    taken = device.total_bytes - cache + (device.kv_pool_bytes or 0)
    return max(_SPARE_UTILIZATION_BYTES, taken - (device.budget_bytes or taken))


def missing(device: DeviceEstimate) -> int:
    free = device.free_bytes if device.free_bytes is not None else device.memory_bytes
    return 0 if free is None else device.total_bytes - free
