"""Every published file of a model on the plan's devices: whether an engine here runs it, its memory
by the planner's own rule, its quality and speed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.plan import FileEstimate, FileRuns, FileSize
from modelscan.engines.registry import engine
from modelscan.engines.support import engine_formats
from modelscan.planner.attempts import contenders
from modelscan.planner.feasibility import fit_state, fullest
from modelscan.planner.recipes import with_recipe
from modelscan.planner.search import Rejected, Rejection, device_sets, options
from modelscan.planner.starts import starting
from modelscan.planner.trial import Trial

if TYPE_CHECKING:
    from modelscan.core.gpu import Gpu
    from modelscan.core.plan import Candidate, Quality, ResolvedModel
    from modelscan.core.workload import Workload
    from modelscan.planner.context import Option, PlanningContext
    from modelscan.planner.feasibility import FittingOption

_MOST_FILES = 400


def file_sizes(
    model: ResolvedModel, case: PlanningContext, chosen: FittingOption | None, context_tokens: int
) -> tuple[FileSize, ...]:
    """A row per file, the best quality first; ``chosen`` is the plan, whose devices all are
    compared on (None: all devices of the machine).
    """
    sets = device_sets(case.inventory, case.wishes)
    gpus = chosen.option.gpus if chosen else max(sets, key=len, default=())
    rows = [
        _row(candidate, model, case, chosen, gpus, context_tokens)
        for candidate in model.candidates[:_MOST_FILES]
        if not candidate.online
    ]
    return tuple(sorted(rows, key=_order))


def _order(row: FileSize) -> tuple[float, str, str]:
    loss = math.inf if row.perplexity_percent is None else row.perplexity_percent
    return loss, row.quantization or "", row.repo


def _row(
    candidate: Candidate,
    model: ResolvedModel,
    case: PlanningContext,
    chosen: FittingOption | None,
    gpus: tuple[Gpu, ...],
    context_tokens: int,
) -> FileSize:
    mine = chosen is not None and chosen.option.candidate is candidate
    estimate: FileEstimate | None
    if chosen is not None and mine:
        runs, estimate = FileRuns(chosen.option.backend, True, None), _estimate(chosen)
    else:
        option, runs = _runs(candidate, model, case, chosen, gpus)
        runs, estimate = _sized(option, runs, case, chosen, context_tokens)
    variant, quality = candidate.variant, candidate.quality
    known = quality is not None and quality.basis != "unknown"
    return FileSize(
        repo=variant.repo,
        source=variant.source,
        files=tuple(file.path for file in variant.files),
        format=variant.format,
        quantization=variant.quantization,
        chosen=mine,
        runs=runs,
        quality=quality if known else None,
        perplexity_percent=_percent(quality) if known else None,
        estimate=estimate,
    )


def _percent(quality: Quality | None) -> float | None:
    return None if quality is None else round(100 * math.expm1(quality.loss), 3)


def _runs(
    candidate: Candidate,
    model: ResolvedModel,
    case: PlanningContext,
    chosen: FittingOption | None,
    gpus: tuple[Gpu, ...],
) -> tuple[Option | None, FileRuns]:
    """The engine that runs a file on these devices, by the planner's hard constraints."""
    alone = replace(model, candidates=(candidate,))
    own = replace(case.wishes, quantization=candidate.variant.quantization)
    engines, _ = contenders(case.machine.engines, case.wishes)
    found = options(alone, replace(case, wishes=own), engines, [gpus] if gpus else [])
    choices = [one for one in found.options if bool(one.gpus) == bool(gpus)]
    first = chosen.option.backend if chosen else None
    refusal: str | None = None
    for option in sorted(choices, key=lambda one: (one.backend != first, _preference(one))):
        ready, launch = starting(with_recipe(option, model, case), case)
        if launch:
            return ready, FileRuns(option.backend, True, None)
        refusal = refusal or launch.reason
    return None, FileRuns(None, False, refusal or _why(candidate, case, found.rejected))


def _preference(option: Option) -> float:
    return engine(option.backend).preference


def _why(candidate: Candidate, case: PlanningContext, rejected: Sequence[Rejected]) -> str:
    """Why no engine here runs a file: a rule, else an engine that is not installed."""
    rule = next((one.reason for one in rejected if one.kind is not Rejection.FORMAT), None)
    return rule or next(_missing(candidate, case), None) or _no_engine(candidate, rejected)


def _missing(candidate: Candidate, case: PlanningContext) -> Iterator[str]:
    for gap in case.machine.missing:
        if candidate.variant.format in engine_formats(gap.name):
            yield f"{gap.reason} ({gap.command})"


def _no_engine(candidate: Candidate, rejected: Sequence[Rejected]) -> str:
    reason = next((one.reason for one in rejected), None)
    return reason or f"no engine here loads {candidate.variant.format} files"


def _sized(
    option: Option | None,
    runs: FileRuns,
    case: PlanningContext,
    chosen: FittingOption | None,
    context_tokens: int,
) -> tuple[FileRuns, FileEstimate | None]:
    """The estimate of an option with the plan's KV cache and context."""
    if option is None:
        return runs, None
    wishes = _with_cache(case.wishes_on(option.engine), option, chosen)
    try:
        trial = Trial(option, case, context_tokens, wishes)
        return runs, _estimate(trial.attempt(context_tokens))
    except (NotDeployableError, UsageError) as error:
        if error.code == "unknown_size":
            return runs, None
        return FileRuns(option.backend, False, error.message), None


def _with_cache(wishes: Workload, option: Option, chosen: FittingOption | None) -> Workload:
    """With the plan's type of KV cache, where this engine has it."""
    if chosen is None or chosen.option.backend != option.backend:
        return wishes
    own = chosen.wishes
    return replace(wishes, kv_cache_k=own.kv_cache_k, kv_cache_v=own.kv_cache_v)


def _estimate(fitting: FittingOption) -> FileEstimate:
    estimate, device = fitting.estimate, fullest(fitting.estimate)
    state = fit_state(fitting)
    speed = estimate.speed if state != "too_big" else None
    return FileEstimate(
        total_bytes=estimate.total_bytes,
        device_bytes=device.total_bytes if device else estimate.total_bytes,
        host_bytes=estimate.host.total_bytes if estimate.host else 0,
        margin_bytes=estimate.margin_bytes // max(1, len(estimate.per_gpu)),
        budget_bytes=device.budget_bytes if device else None,
        free_bytes=device.free_bytes if device else None,
        state=state,
        tokens_per_s=speed.decode_tokens_per_s if speed else None,
        low=speed.low if speed else None,
        high=speed.high if speed else None,
    )
