"""Memory and speed of a plan at other context lengths, and with other types of KV cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.plan import CacheCurve, ContextTier
from modelscan.core.verdict import Verdict
from modelscan.engines.registry import engine
from modelscan.planner.cache import with_small_cache
from modelscan.planner.feasibility import fits
from modelscan.planner.trial import Trial

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.planner.context import PlanningContext
    from modelscan.planner.feasibility import FittingOption

_FIRST_TOKENS, _LAST_TOKENS = 8_192, 1_048_576
_QUARTER = "q4_0"  # llama.cpp's cache of a quarter of the bytes, for the curve only


def tiers(fitting: FittingOption, case: PlanningContext) -> tuple[ContextTier, ...]:
    """The plan at 8k, 16k, 32k … tokens up to the trained length, and at its own context."""
    return tuple(_points(fitting, case, fitting.wishes, fitting.small_cache))


def curves(fitting: FittingOption, case: PlanningContext) -> tuple[CacheCurve, ...]:
    """The tiers for each type of KV cache that the engine has here, the usual one first."""
    return tuple(_curves(fitting, case))


def _curves(fitting: FittingOption, case: PlanningContext) -> Iterator[CacheCurve]:
    plain = case.wishes_on(fitting.option.engine)
    own = plain.kv_cache_k or ("f16" if engine(fitting.option.backend).runs_gguf else "auto")
    yield CacheCurve(own, tuple(_points(fitting, case, plain, False)))
    small = with_small_cache(fitting.option, plain, case.task)
    wanted = [small] if small else []
    if small and engine(fitting.option.backend).runs_gguf:
        wanted.append(replace(small, kv_cache_k=_QUARTER, kv_cache_v=_QUARTER))
    for wishes in wanted:
        try:
            points = tuple(_points(fitting, case, wishes, True))
        except (NotDeployableError, UsageError):
            continue  # the engine has no such cache for this model
        yield CacheCurve(str(wishes.kv_cache_k), points)


def _points(
    fitting: FittingOption, case: PlanningContext, wishes: Workload, small_cache: bool
) -> Iterator[ContextTier]:
    trial = Trial(fitting.option, case, fitting.launch.context_tokens, wishes,
                  small_cache=small_cache)  # fmt: skip
    for context in _lengths(fitting):
        one = trial.launched(replace(fitting.launch, context_tokens=context))
        estimate = one.estimate
        speed = estimate.speed.decode_tokens_per_s if estimate.speed else None
        here = fits(one)
        yield ContextTier(
            context_tokens=context,
            total_bytes=estimate.total_bytes,
            kv_cache_bytes=estimate.parts.kv_cache_bytes,
            verdict=Verdict.FITS if here else Verdict.DOES_NOT_FIT,
            tokens_per_s=speed if here else None,
        )


def _lengths(fitting: FittingOption) -> list[int]:
    own = fitting.launch.context_tokens
    trained = fitting.option.candidate.shape.architecture.context_tokens or own
    most = min(max(trained, own), _LAST_TOKENS)
    lengths = {own, most}
    tokens = _FIRST_TOKENS
    while tokens < most:
        lengths.add(tokens)
        tokens *= 2
    return sorted(lengths)
