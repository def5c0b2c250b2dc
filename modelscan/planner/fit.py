"""Fit one option or report the shortage: whole, in a smaller KV cache, with less context,
offloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.units import format_bytes
from modelscan.engines.registry import engine
from modelscan.planner.cache import with_small_cache
from modelscan.planner.feasibility import (
    DoesNotFit,
    FittingOption,
    available_bytes,
    host_free,
    target_context,
)
from modelscan.planner.long_context import served_context
from modelscan.planner.offload import offload_contexts, offloaded
from modelscan.planner.trial import Trial

if TYPE_CHECKING:
    from modelscan.planner.context import Option, PlanningContext


def too_large(option: Option, case: PlanningContext) -> DoesNotFit | None:
    """A miss if the weights alone are larger than all memory the option may use, else None."""
    available = available_bytes(option.gpus, case.inventory)
    least = least_bytes(option, case)
    room = available + (host_free(case.inventory) if _may_offload(option, case) else 0)
    if least <= room:
        return None
    return too_large_by(option, least, available)


def too_large_by(option: Option, needed: int, available: int) -> DoesNotFit:
    """A miss for weights that are larger than all memory the option may use."""
    why = "the weights alone are larger than the free memory"
    text = f"{option.label}: {why} ({format_bytes(needed)} > {format_bytes(available)})"
    return DoesNotFit(option, needed, available, text, bound=True)


def fit(
    option: Option, case: PlanningContext, *, whole: FittingOption | DoesNotFit | None = None
) -> FittingOption | DoesNotFit:
    """The best settings of an option, or its shortage.

    ``whole``: the known answer without offload, which stays where it has the whole context. Raises
    NotDeployableError or UsageError where the engine rejects the settings.
    """
    miss = too_large(option, case)
    if miss is not None:
        return miss
    available = available_bytes(option.gpus, case.inventory)
    least = least_bytes(option, case)
    target = target_context(option.candidate.shape.architecture, case.wishes, case.task)
    target = served_context(option, case, target)
    trial = Trial(option, case, target)
    if least <= available and whole is None:
        fitting = _whole(trial)
        if fitting is not None:
            return fitting
    complete = isinstance(whole, FittingOption) and whole.launch.context_tokens >= target
    if _may_offload(option, case) and not complete:
        fitting = _offloaded(trial)
        if fitting is not None:
            return fitting
    if isinstance(whole, FittingOption):
        return whole
    return trial.miss(least, available) if trial.last or whole is None else whole


def _whole(trial: Trial) -> FittingOption | None:
    """The whole context in a 16-bit cache, else in one of fewer bits, else less context."""
    fitting = trial.at_target()
    if fitting is not None:
        return fitting
    if trial.hopeless():
        return trial.at_minimum()
    small = _small(trial)
    if small is None:
        return trial.reduced()
    try:
        return small.at_target() or small.reduced() or trial.reduced()
    except (NotDeployableError, UsageError):
        return trial.reduced()  # the engine has no such cache for this model


def _small(trial: Trial) -> Trial | None:
    """The same option with a KV cache of fewer bits; None where there is none, or no cache."""
    option, case = trial.option, trial.case
    wishes = with_small_cache(option, trial.wishes, case.task)
    if wishes is None or (trial.last is not None and not trial.last.parts.kv_cache_bytes):
        return None
    return Trial(option, case, trial.target, wishes, small_cache=True)


def _offloaded(trial: Trial) -> FittingOption | None:
    """Experts leave the GPU before the cache loses bits; layers and context only after it did."""
    small = _small(trial)
    trials = (trial, small) if trial.architecture.experts else (small, trial)
    for context in offload_contexts(trial):
        for one in trials:
            fitting = _try_offload(one, context) if one else None
            if fitting is not None:
                return fitting
    return None


def _try_offload(trial: Trial, context: int) -> FittingOption | None:
    try:
        return offloaded(trial, context)
    except (NotDeployableError, UsageError):
        if not trial.small_cache:
            raise
        return None  # the engine has no such cache for this model


def least_bytes(option: Option, case: PlanningContext) -> int:
    """A lower bound in bytes without an estimate: the weights."""
    if case.wishes.parameter("cpu-offload-gb") or case.wishes.parameter("n-gpu-layers"):
        return 0
    floor = option.candidate.floor_bytes
    if floor is not None:
        return floor
    weights = option.candidate.shape.weights
    return weights.low_bytes if weights.low_bytes is not None else weights.total_bytes


def _may_offload(option: Option, case: PlanningContext) -> bool:
    unified = any(gpu.unified_memory for gpu in option.gpus)
    capable = engine(option.backend).offloads_layers and bool(option.gpus) and not unified
    return case.offload and capable
