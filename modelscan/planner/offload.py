"""Part of a model in host memory: a mixture's experts first, then whole layers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from modelscan.planner.feasibility import fits, fits_gpus, free_bytes, spare
from modelscan.planner.notes import noted

if TYPE_CHECKING:
    from modelscan.planner.feasibility import FittingOption
    from modelscan.planner.trial import Trial

_GUESSES = 5
_Change = Callable[[int], dict[str, object]]


def offload_contexts(trial: Trial) -> tuple[int, ...]:
    """The contexts in tokens to try with offload, the longest first; () if the user set layers."""
    if trial.wishes.parameter("n-gpu-layers"):
        return ()
    return tuple(dict.fromkeys((trial.target, min(trial.target, 2 * trial.minimum()))))


def offloaded(trial: Trial, context: int) -> FittingOption | None:
    """The option with the fewest parts in host memory; None if even all of them do not help."""
    fitting = _moved(trial, context)
    if fitting is None:
        return None
    return noted(replace(fitting, offload="partial"), trial.utilization())


def _moved(trial: Trial, context: int) -> FittingOption | None:
    layers = len(trial.architecture.layers)
    if trial.architecture.experts is None:
        return _least(trial, lambda n: {"gpu_layers": layers - n}, layers - 1, context)
    experts = _least(
        trial, lambda n: {"cpu_experts": n, "tensor_split": _balanced(trial, n)}, layers, context
    )
    if experts is not None:
        return experts
    # Layers leave only after all experts: what remains of a layer is small and used by every token.
    return _least(
        trial, lambda n: {"cpu_experts": layers, "gpu_layers": layers - n}, layers - 1, context
    )


def _balanced(trial: Trial, hosted: int) -> tuple[int, ...]:
    """The layers of each GPU by what is left of them when the first ``hosted`` have no experts.

    By default llama.cpp deals layers by free memory as if all were equal; () leaves it so.
    """
    gpus = trial.option.gpus
    if len(gpus) < 2 or any(trial.wishes.parameter(name) for name in ("tensor-split", "ts")):
        return ()
    sizes = list(accumulate(_layer_sizes(trial, hosted)))
    free = list(accumulate(free_bytes(gpu) for gpu in gpus))
    ends = [bisect_right(sizes, sizes[-1] * share / free[-1]) for share in free[:-1]]
    ends = [0, *ends, len(sizes)]
    return tuple(after - before for before, after in pairwise(ends))


def _layer_sizes(trial: Trial, hosted: int) -> list[float]:
    """Bytes of each layer on a GPU with its cache, then those of the output head."""
    weights, count = trial.option.candidate.shape.weights, len(trial.architecture.layers)
    inner = weights.total_bytes - (weights.embedding_bytes or 0) - (weights.output_bytes or 0)
    layers = weights.layer_bytes[:count] or (inner // count,) * count
    experts = (weights.expert_bytes or 0) / count
    cache = trial.last.parts.kv_cache_bytes / count if trial.last else 0.0
    return [
        *(max(0.0, size - experts * (i < hosted)) + cache for i, size in enumerate(layers)),
        float(weights.output_bytes or weights.embedding_bytes or 0),
    ]


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
