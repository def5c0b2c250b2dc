"""Memory and speed of a plan at other context lengths, and with other types of KV cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.estimate import Parts
from modelscan.core.plan import CacheCurve, ContextTier
from modelscan.core.verdict import Verdict
from modelscan.engines.registry import engine
from modelscan.planner.cache import with_small_cache
from modelscan.planner.feasibility import fit_state, fits, fullest
from modelscan.planner.trial import Trial

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.planner.context import PlanningContext
    from modelscan.planner.feasibility import FittingOption

_FIRST_TOKENS, _LAST_TOKENS = 8_192, 1_048_576
_STEP_TOKENS = 1_024
_FINE = (2_048, 4_096, 12_288, 20_480, 24_576, 40_960, 49_152, 98_304)  # between the doublings
_QUARTER = "q4_0"  # llama.cpp's cache of a quarter of the bytes, for the curve only


def tiers(fitting: FittingOption, case: PlanningContext) -> tuple[ContextTier, ...]:
    """The plan at 8k, 16k, 32k … tokens up to the trained length, and at its own context."""
    trial = _trial(fitting, case, fitting.wishes, fitting.small_cache)
    return tuple(_point(trial, fitting, context) for context in _lengths(fitting))


def curves(
    fitting: FittingOption, case: PlanningContext, *, fine: bool = False
) -> tuple[CacheCurve, ...]:
    """The tiers for each type of KV cache that the engine has here, the usual one first; ``fine``:
    at more lengths.
    """
    return tuple(_curves(fitting, case, fine))


def longest(fitting: FittingOption, case: PlanningContext) -> int | None:
    """The longest context that fits with the plan's cache, at most the trained length; None where
    part of the model is in host memory, whose size follows the context.
    """
    if fitting.offload == "partial":
        return None
    trial = _trial(fitting, case, fitting.wishes, fitting.small_cache)
    return _longest(trial, fitting)


def _curves(fitting: FittingOption, case: PlanningContext, fine: bool) -> Iterator[CacheCurve]:
    plain = case.wishes_on(fitting.option.engine)
    own = plain.kv_cache_k or ("f16" if engine(fitting.option.backend).runs_gguf else "auto")
    yield _curve(own, _trial(fitting, case, plain, False), fitting, fine)
    small = with_small_cache(fitting.option, plain, case.task)
    wanted = [small] if small else []
    if small and engine(fitting.option.backend).runs_gguf:
        wanted.append(replace(small, kv_cache_k=_QUARTER, kv_cache_v=_QUARTER))
    for wishes in wanted:
        try:
            yield _curve(str(wishes.kv_cache_k), _trial(fitting, case, wishes, True), fitting, fine)
        except (NotDeployableError, UsageError):
            continue  # the engine has no such cache for this model


def _trial(
    fitting: FittingOption, case: PlanningContext, wishes: Workload, small_cache: bool
) -> Trial:
    return Trial(
        fitting.option, case, fitting.launch.context_tokens, wishes, small_cache=small_cache
    )


def _curve(name: str, trial: Trial, fitting: FittingOption, fine: bool) -> CacheCurve:
    longest = _longest(trial, fitting)
    lengths = _lengths(fitting, _FINE if fine else ())
    points = tuple(_point(trial, fitting, context) for context in lengths)
    return CacheCurve(name, points, longest)


def _longest(trial: Trial, fitting: FittingOption) -> int | None:
    """By halving: the memory grows with the context."""
    most = _most(fitting)
    if _holds(trial, fitting, most):
        return most
    low, high = 0, most // _STEP_TOKENS
    while high - low > 1:
        middle = (low + high) // 2
        if _holds(trial, fitting, middle * _STEP_TOKENS):
            low = middle
        else:
            high = middle
    return low * _STEP_TOKENS or None


def _holds(trial: Trial, fitting: FittingOption, context: int) -> bool:
    return _as_plan(_at(trial, fitting, context), fitting)


def _as_plan(one: FittingOption, fitting: FittingOption) -> bool:
    """Whether a context fits by the plan's own measure: a plan that fits only within the
    estimate's margin has other contexts that do.
    """
    return fits(one) or (fitting.within_margin and fit_state(one) == "tight")


def _at(trial: Trial, fitting: FittingOption, context: int) -> FittingOption:
    return trial.launched(replace(fitting.launch, context_tokens=context))


def _point(trial: Trial, fitting: FittingOption, context: int) -> ContextTier:
    one = _at(trial, fitting, context)
    estimate = one.estimate
    speed = estimate.speed.decode_tokens_per_s if estimate.speed else None
    here, device = _as_plan(one, fitting), fullest(estimate)
    return ContextTier(
        context_tokens=context,
        total_bytes=estimate.total_bytes,
        kv_cache_bytes=estimate.parts.kv_cache_bytes,
        verdict=Verdict.FITS if here else Verdict.DOES_NOT_FIT,
        tokens_per_s=speed if here else None,
        state=fit_state(one),
        device_bytes=device.total_bytes if device else estimate.total_bytes,
        margin_bytes=estimate.margin_bytes // max(1, len(estimate.per_gpu)),
        budget_bytes=device.budget_bytes if device else None,
        free_bytes=device.free_bytes if device else None,
        parts=device.parts if device else Parts(),
    )


def _most(fitting: FittingOption) -> int:
    """The trained length, or the plan's own context where that is longer."""
    own = fitting.launch.context_tokens
    trained = fitting.option.candidate.shape.architecture.context_tokens or own
    return min(max(trained, own), _LAST_TOKENS)


def _lengths(fitting: FittingOption, more: tuple[int, ...] = ()) -> list[int]:
    most = _most(fitting)
    lengths = {fitting.launch.context_tokens, most, *(one for one in more if one < most)}
    tokens = _FIRST_TOKENS
    while tokens < most:
        lengths.add(tokens)
        tokens *= 2
    return sorted(lengths)
