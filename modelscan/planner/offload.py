"""Part of a model in host memory: a mixture's experts first, then whole layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.planner.feasibility import fits, fits_gpus, spare
from modelscan.planner.notes import noted

if TYPE_CHECKING:
    from modelscan.planner.feasibility import FittingOption
    from modelscan.planner.trial import Trial

_GUESSES = 5
_Change = Callable[[int], dict[str, object]]


def offloaded(trial: Trial) -> FittingOption | None:
    """The option with the fewest parts in host memory; None if even all of them do not help."""
    if trial.wishes.parameter("n-gpu-layers"):
        return None
    for context in dict.fromkeys((trial.target, min(trial.target, 2 * trial.minimum()))):
        fitting = _moved(trial, context)
        if fitting is not None:
            return noted(replace(fitting, offload="partial"), trial.utilization())
    return None


def _moved(trial: Trial, context: int) -> FittingOption | None:
    layers = len(trial.architecture.layers)
    if trial.architecture.experts is None:
        return _least(trial, lambda n: {"gpu_layers": layers - n}, layers - 1, context)
    experts = _least(trial, lambda n: {"cpu_experts": n}, layers, context)
    if experts is not None:
        return experts
    # Layers leave only after all experts: what remains of a layer is small and used by every token.
    return _least(
        trial, lambda n: {"cpu_experts": layers, "gpu_layers": layers - n}, layers - 1, context
    )


def _least(trial: Trial, change: _Change, most: int, context: int) -> FittingOption | None:
    """The smallest number (1 … most) of parts to move to the host so that the GPUs fit.

    Only the GPUs decide: moving more always lowers their use but fills the host. Parts have
    nearly equal size, so the unused bytes predict the number; bisection where they do not.
    """
    best = trial.attempt(context, **change(most)) if most > 0 else None
    if best is None or not fits_gpus(best):
        return None
    share = trial.option.candidate.shape.weights.total_bytes / len(trial.option.gpus)
    part = max(1.0, share / most)
    low, high, room = 0, most, spare(best.estimate)  # low: too few parts; high: enough
    tries = 0
    while high - low > 1:
        guess = high - int(room / part) if tries < _GUESSES else (low + high) // 2
        middle, tries = min(high - 1, max(low + 1, guess)), tries + 1
        tried = trial.attempt(context, **change(middle))
        unused = spare(tried.estimate)
        part = max(1.0, (room - unused) / (high - middle))
        if fits_gpus(tried):
            best, high, room = tried, middle, unused
        else:
            low = middle
    return best if fits(best) else None
