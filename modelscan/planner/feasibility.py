"""Whether an option fits: the result types, and the comparison of an estimate with free memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.estimate import DeviceEstimate, Estimate
from modelscan.core.units import GIB, MIB
from modelscan.core.verdict import FitState, Offload, Verdict
from modelscan.engines.flags import LaunchSettings, Options
from modelscan.planner.context import Option

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.core.workload import Workload

DEFAULT_CONTEXT_TOKENS = 32_768  # enough for a chat with documents and tools; not a limit
MINIMUM_CONTEXT_TOKENS = 4_096  # below this a chat model is of little use
EMBEDDING_CONTEXT_TOKENS = 8_192
_RESERVED_SHARE, _MOST_RESERVED_BYTES = 0.05, 4 * GIB  # of the host: page cache, other programs
_SPARE_UTILIZATION_BYTES = 256 * MIB


@dataclass(frozen=True, slots=True)
class FittingOption:
    """An option that fits. ``offload``: none, partial or cpu (the machine's GPU is unused).

    ``wishes`` are the user's with the version and the KV cache that the planner chose;
    ``small_cache``: it put the cache into fewer bits.
    """

    option: Option
    launch: LaunchSettings
    chosen: Options
    estimate: Estimate
    target_tokens: int
    wishes: Workload
    small_cache: bool = False
    offload: Offload = "none"
    notes: tuple[str, ...] = ()

    @property
    def within_margin(self) -> bool:
        """It fits, but an error as large as the estimate's margin would make it fail."""
        if self.estimate.within_margin:
            return not self.crowded
        fits = self.estimate.verdict is Verdict.FITS
        return fits and worst_case_overflows(self.estimate)

    @property
    def crowded(self) -> bool:
        """The engine starts, but its KV pool cannot contain all requests of full length at once."""
        return self.estimate.within_margin and short_of_slots_only(self.estimate)


@dataclass(frozen=True, slots=True)
class DoesNotFit:
    """An option that does not fit: ``needed_bytes`` against ``available_bytes`` of its devices.

    ``bound``: the weights alone are too large and nothing else was computed. ``uncertain``: the
    shape is not known, and the lower end of its size range would fit.
    """

    option: Option
    needed_bytes: int
    available_bytes: int
    reason: str
    bound: bool = False
    uncertain: bool = False


def target_context(architecture: Architecture, wishes: Workload, task: str) -> int:
    """Context in tokens: as requested, else by task and goal, at most the trained context."""
    if wishes.context_tokens:
        return wishes.context_tokens
    trained = architecture.context_tokens
    if task == "speech_to_text":
        return min(trained or MINIMUM_CONTEXT_TOKENS, MINIMUM_CONTEXT_TOKENS)
    if task in ("embedding", "rerank"):
        return min(trained or 512, EMBEDDING_CONTEXT_TOKENS)
    if wishes.goal == "context":
        return trained or DEFAULT_CONTEXT_TOKENS
    return min(trained or MINIMUM_CONTEXT_TOKENS, DEFAULT_CONTEXT_TOKENS)


def available_bytes(gpus: tuple[Gpu, ...], inventory: Inventory) -> int:
    """Free bytes of a set of devices, or of the host for ()."""
    if not gpus:
        return host_free(inventory)
    return sum(free_bytes(gpu) for gpu in gpus)


def free_bytes(gpu: Gpu) -> int:
    """Free memory in bytes; the total where the driver does not report free memory."""
    return (gpu.free_bytes if gpu.free_bytes is not None else gpu.memory_bytes) or 0


def host_free(inventory: Inventory) -> int:
    """Free host memory in bytes; the total if the free part is unknown, 0 if both are."""
    host = inventory.host
    return (host.free_bytes if host.free_bytes is not None else host.memory_bytes) or 0


def with_reserve(inventory: Inventory) -> Inventory:
    """The hardware with the part of the host's memory left out that its system needs to work."""
    host = inventory.host
    if host.free_bytes is None:
        return inventory
    left = max(0, host.free_bytes - system_reserve(inventory))
    return replace(inventory, host=replace(host, free_bytes=left))


def system_reserve(inventory: Inventory) -> int:
    """Bytes of the host's memory that its system needs to work."""
    return min(_MOST_RESERVED_BYTES, int(_RESERVED_SHARE * (inventory.host.memory_bytes or 0)))


def short_of_slots_only(estimate: Estimate) -> bool:
    """Whether only the number of ``parallel`` requests exceeds the KV pool.

    One request fits with the margin to spare, and so does the memory outside the pool.
    """
    if estimate.parallel < 2 or not estimate.per_gpu:
        return False
    margin = estimate.margin_bytes // len(estimate.per_gpu)
    for device in estimate.per_gpu:
        pool, free = device.kv_pool_bytes, device.free_bytes
        if pool is None or device.budget_bytes is None:
            return False
        cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
        outside_pool = device.total_bytes - cache
        if pool - cache // estimate.parallel < margin or (
            free is not None and outside_pool + pool > free
        ):
            return False
    return not worst_case_overflows(estimate)


def worst_case_overflows(estimate: Estimate) -> bool:
    """Whether the upper end of a range does not fit: an estimated shape needs room for it."""
    if estimate.basis != "range" or estimate.high_bytes is None:
        return False
    more = estimate.high_bytes - estimate.total_bytes
    shares = estimate.per_gpu or devices(estimate)
    for device in shares:
        share = more * device.total_bytes // max(1, estimate.total_bytes)
        cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
        pool = device.budget_bytes is not None and device.kv_pool_bytes is not None
        if pool:  # the cache fills the rest of the pool
            if cache // max(1, estimate.parallel) + share > (device.kv_pool_bytes or 0):
                return True
            continue
        if device.free_bytes is not None and device.total_bytes + share > device.free_bytes:
            return True
    return False


def devices(estimate: Estimate) -> tuple[DeviceEstimate, ...]:
    """All devices of an estimate: the GPUs, then the host if it is used."""
    return (*estimate.per_gpu, *((estimate.host,) if estimate.host else ()))


def fits_gpus(fitting: FittingOption) -> bool:
    """Whether each GPU by itself fits its share, with the margin."""
    estimate = fitting.estimate
    safe = not estimate.within_margin and estimate.verdict in (Verdict.FITS, None)
    return (safe or fitting.crowded) and not fitting.within_margin


def fits(fitting: FittingOption) -> bool:
    """Whether the GPUs fit and, for llama.cpp with GPUs, the host memory as well."""
    host = fitting.estimate.host
    if not fits_gpus(fitting):
        return False
    if fitting.estimate.per_gpu and host is not None and host.free_bytes is not None:
        return host.total_bytes <= host.free_bytes
    return True


def fit_state(fitting: FittingOption) -> FitState:
    """How an option fits: the one rule behind every figure that is compared with free memory."""
    if fits(fitting):
        return "fits"
    whole = all(missing(device) <= 0 for device in devices(fitting.estimate))
    return "tight" if whole and fitting.estimate.verdict is Verdict.FITS else "too_big"


def fullest(estimate: Estimate) -> DeviceEstimate | None:
    """The device with the least memory left: a GPU, else the host; None: without hardware."""
    return max(estimate.per_gpu, key=missing, default=estimate.host)


def spare(estimate: Estimate) -> float:
    """Bytes left on the fullest GPU after its share of the margin."""
    margin = estimate.margin_bytes / max(1, len(estimate.per_gpu))
    return min((-missing(device) - margin for device in estimate.per_gpu), default=0.0)


def beside_share(device: DeviceEstimate) -> int:
    """Bytes that a pool engine allocates outside its budget: context, graphs, communication."""
    parts = device.parts
    cache = parts.kv_cache_bytes + parts.recurrent_state_bytes
    total = device.total_bytes - cache + (device.kv_pool_bytes or 0)
    return max(_SPARE_UTILIZATION_BYTES, total - (device.budget_bytes or total))


def missing(device: DeviceEstimate) -> int:
    """Bytes the device lacks; negative when memory is left, 0 when free memory is unknown."""
    free = device.free_bytes if device.free_bytes is not None else device.memory_bytes
    return 0 if free is None else device.total_bytes - free
