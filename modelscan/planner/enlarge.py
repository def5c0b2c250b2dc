"""The chosen option with as much context as costs nothing, up to the trained length."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.engines.registry import engine
from modelscan.planner.feasibility import available_bytes, fits
from modelscan.planner.rank import TIGHT_SHARE
from modelscan.planner.trial import Trial

if TYPE_CHECKING:
    from modelscan.planner.context import PlanningContext
    from modelscan.planner.feasibility import FittingOption

_POOL_SHARE = 0.8  # one request may fill this much of the pool: its size is an estimate
_CHEAP = 0.05  # of the devices' memory: what a longer cache may add where each token costs memory
_STEP_TOKENS = 1_024
_WORTH = 1.25  # a gain below it is not worth another number


def enlarged(fitting: FittingOption, case: PlanningContext) -> FittingOption:
    """A longer context where the KV pool holds it anyway, or where its cache is small.

    A context that the user set, or that was reduced to fit, stays as it is.
    """
    trained = fitting.option.candidate.shape.architecture.context_tokens
    context = fitting.launch.context_tokens
    fixed = case.wishes.context_tokens or context < fitting.target_tokens
    unsafe = fitting.within_margin or fitting.crowded or fitting.offload != "none"
    if fixed or unsafe or case.task != "chat" or not trained or trained < _WORTH * context:
        return fitting
    trial = Trial(
        fitting.option, case, fitting.target_tokens, fitting.wishes, small_cache=fitting.small_cache
    )
    if engine(fitting.option.backend).reserves_pool:
        return _in_pool(trial, fitting, trained)
    if fitting.small_cache:
        return fitting  # the cache was short already
    return _while_cheap(trial, fitting, trained, case)


def _in_pool(trial: Trial, fitting: FittingOption, trained: int) -> FittingOption:
    context = min(trained, _rounded(int(_POOL_SHARE * trial.guess(fitting.estimate))))
    if context < _WORTH * fitting.launch.context_tokens:
        return fitting
    longer = _with_context(trial, fitting, context)
    return longer if fits(longer) else fitting


def _while_cheap(
    trial: Trial, fitting: FittingOption, trained: int, case: PlanningContext
) -> FittingOption:
    """The trained length if it adds little memory, else the largest doubling that does."""
    context, total = fitting.launch.context_tokens, fitting.estimate.total_bytes
    available = available_bytes(fitting.option.gpus, case.inventory)
    most = min(int(_CHEAP * available), int(TIGHT_SHARE * available) - total)
    longest = _with_context(trial, fitting, trained)
    added = longest.estimate.total_bytes - total
    if fits(longest) and added <= most:
        return longest
    shorter, wanted = context, context + (trained - context) * most / max(1, added)
    while 2 * shorter <= min(wanted, trained):
        shorter *= 2
    if shorter == context:
        return fitting
    longer = _with_context(trial, fitting, shorter)
    cheap = longer.estimate.total_bytes - total <= most
    return longer if fits(longer) and cheap else fitting


def _with_context(trial: Trial, fitting: FittingOption, context: int) -> FittingOption:
    """The option with a longer context; its speed stays that of the usual length."""
    longer = trial.launched(replace(fitting.launch, context_tokens=context))
    estimate = replace(longer.estimate, speed=fitting.estimate.speed)
    return replace(longer, estimate=estimate, offload=fitting.offload, notes=fitting.notes)


def _rounded(tokens: int) -> int:
    return tokens // _STEP_TOKENS * _STEP_TOKENS
