"""Decisions in words: the Plan with its reasons, and why nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from modelscan.core.estimate import DeviceEstimate, Estimate
from modelscan.core.gpu import Inventory
from modelscan.core.plan import Plan, ResolvedModel
from modelscan.core.units import format_bytes, format_tokens
from modelscan.core.workload import BACKENDS
from modelscan.engines.flags import environment, render
from modelscan.planner import quality as quality_words
from modelscan.planner import refuse
from modelscan.planner.context import PlanningContext, device_label
from modelscan.planner.feasibility import (
    DoesNotFit,
    FittingOption,
    available_bytes,
    free_bytes,
)
from modelscan.planner.fit import too_large_by

_SHOWN_MISSES = 3
_SHOWN_DEVICES = 4
_OBVIOUS = (
    "does not load",
    "are for llama.cpp",
    "only on --quantization",
)  # true, but not what anybody wonders about


def plan(
    model: ResolvedModel,
    found: FittingOption,
    case: PlanningContext,
    misses: Sequence[DoesNotFit],
) -> Plan:
    """The Plan of an option that fits."""
    option, launch = found.option, found.launch
    variant, wishes = option.candidate.variant, case.wishes_on(option.engine)
    every = not _must_hide(found, case)
    local = variant.source == "local_path"
    shape_path = option.candidate.shape.path
    return Plan(
        model=model.id,
        quantization=variant.quantization,
        backend=option.backend,
        backend_version=wishes.backend_version or found.estimate.backend_version,
        source=variant.source,
        repo=(shape_path or variant.repo) if local else variant.repo,
        files=tuple(file.path for file in variant.files),
        gpus=tuple(gpu.index for gpu in option.gpus),
        tensor_parallel=launch.tensor_parallel,
        pipeline_parallel=launch.pipeline_parallel,
        context_tokens=found.estimate.context_tokens,
        parallel=found.estimate.parallel,
        parameters=render(found.chosen),
        env=environment(launch, wishes, option.gpus, every),
        estimate=_estimate(found, case),
        reasons=tuple(reasons(found, case, misses, len(model.candidates))),
        task=case.task,
        format=variant.format,
        revision=variant.revision,
        worker=option.gpus[0].worker if option.gpus else None,
        adapters=wishes.adapters,
        settings={name: value if value is not None else True for name, value in found.chosen},
        support=option.support.kind or "forced",
        offload=found.offload if option.gpus else "cpu",
        within_margin=found.within_margin,
    )


def _estimate(found: FittingOption, case: PlanningContext) -> Estimate:
    """With what the user must know of this build of the engine, where it leaves GPUs unused."""
    note = found.option.engine.note
    if note is None or not case.inventory.gpus:
        return found.estimate
    return replace(found.estimate, warnings=(*found.estimate.warnings, note))


def _must_hide(found: FittingOption, case: PlanningContext) -> bool:
    """Whether the engine must be told its devices.

    A real inventory may be a choice out of more (``--gpu 1``), so there it always is; on a
    cluster the scheduler does it.
    """
    source = case.inventory.source
    some = len(found.option.gpus) < len(case.inventory.gpus)
    return source == "local" or (source == "simulated" and some)


def reasons(
    found: FittingOption, case: PlanningContext, misses: Sequence[DoesNotFit], variants: int
) -> list[str]:
    """Why this quantization, engine, device, context; and what it costs."""
    lines = [_quantization(found, variants)]
    lines += [f"not {miss.reason}" for miss in _better(found, misses)]
    lines.append(_engine(found))
    lines.append(_devices(found, case))
    lines.append(_context(found, case))
    lines += found.option.support.notes
    lines += found.notes
    lines += _speed(found)
    return lines


def _quantization(found: FittingOption, variants: int) -> str:
    candidate = found.option.candidate
    name = candidate.variant.quantization or "the weights as they are"
    what = quality_words.describe(candidate.quality) if candidate.quality else "quality unknown"
    among = f", of {variants} variants" if variants > 1 else ", the only variant"
    return f"{name}: {what}{among}"


def _better(found: FittingOption, misses: Sequence[DoesNotFit]) -> list[DoesNotFit]:
    """Misses of a higher quality: what the user may have hoped for."""
    mine = _loss(found.option.candidate)
    better = [miss for miss in misses if _loss(miss.option.candidate) < mine]
    best: dict[str | None, DoesNotFit] = {}
    for miss in sorted(better, key=lambda m: m.needed_bytes - m.available_bytes):
        best.setdefault(miss.option.candidate.variant.quantization, miss)
    return sorted(best.values(), key=lambda m: _loss(m.option.candidate))[:_SHOWN_MISSES]


def _loss(candidate: object) -> float:
    quality = getattr(candidate, "quality", None)
    return quality.loss if quality else 0.0


def _engine(found: FittingOption) -> str:
    option = found.option
    recipe = "; the catalog has a recipe for it" if option.recommended else ""
    assumed = "; assumed to be installed" if option.engine.source == "simulated" else ""
    return f"{option.backend}: {option.support.reason}{recipe}{assumed}"


def _devices(found: FittingOption, case: PlanningContext) -> str:
    option, estimate = found.option, found.estimate
    margin = format_bytes(estimate.margin_bytes)
    host = _share("host memory", estimate.host) if estimate.host else None
    if not option.gpus:
        there = "no GPU" if not case.inventory.gpus else "not on the GPU"
        return f"CPU ({there}): {host or format_bytes(estimate.total_bytes)} (± {margin})"
    split = ""
    if len(option.gpus) > 1:
        degree = option.tensor_parallel
        split = f", tensor parallel {degree}" if degree > 1 else ", split by layers"
    shares = _shares(estimate)
    if found.offload == "partial" and host:
        shares.append(host)
    return f"{device_label(option.gpus)}{split}: {', '.join(shares)} (± {margin})"


def _shares(estimate: Estimate) -> list[str]:
    """What each device gives; equal shares are said once."""
    devices = estimate.per_gpu
    amounts = {(d.total_bytes, d.free_bytes, d.budget_bytes) for d in devices}
    if len(devices) > 1 and len(amounts) == 1:
        return [_share("each", devices[0])]
    shown = [_share(f"GPU {device.index}", device) for device in devices[:_SHOWN_DEVICES]]
    return [*shown, "…"] if len(devices) > _SHOWN_DEVICES else shown


def _share(name: str, device: DeviceEstimate) -> str:
    """``GPU 0 takes 9.1 GiB of 23.5 GiB free``; engines with a pool reserve their budget."""
    free = f" of {format_bytes(device.free_bytes)} free" if device.free_bytes is not None else ""
    if device.budget_bytes is None or device.kv_pool_bytes is None:
        return f"{name} takes {format_bytes(device.total_bytes)}{free}"
    cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
    return (
        f"{name} reserves {format_bytes(device.budget_bytes)}{free}: "
        f"{format_bytes(device.total_bytes - cache)} for weights and work, "
        f"{format_bytes(device.kv_pool_bytes)} for the cache"
    )


def _context(found: FittingOption, case: PlanningContext) -> str:
    estimate = found.estimate
    trained = found.option.candidate.shape.architecture.context_tokens
    asked = "as asked" if case.wishes.context_tokens else "chosen"
    text = f"context {format_tokens(estimate.context_tokens)} {asked}"
    if trained:
        text += f", the model was trained for {format_tokens(trained)}"
    if estimate.kv_capacity_tokens:
        text += f"; the cache holds {estimate.kv_capacity_tokens:,} tokens"
    if trained and estimate.context_tokens > trained:
        text += "; longer than trained: quality is not assured"
    return text


def _speed(found: FittingOption) -> list[str]:
    speed = found.estimate.speed
    if speed is None or speed.decode_tokens_per_s is None:
        return []
    between = ""
    if speed.low is not None and speed.high is not None:
        between = f" ({speed.low:.0f} to {speed.high:.0f})"
    return [f"about {speed.decode_tokens_per_s:.0f} tokens/s for one request{between}"]


def most_available(inventory: Inventory) -> int:
    """Free bytes of the largest set one model may use: the GPUs of one worker, else the host."""
    by_worker: dict[str | None, int] = {}
    for gpu in inventory.gpus:
        by_worker[gpu.worker] = by_worker.get(gpu.worker, 0) + free_bytes(gpu)
    return max(by_worker.values(), default=available_bytes((), inventory))


def refusal_reasons(
    subject: ResolvedModel,
    case: PlanningContext,
    misses: Sequence[DoesNotFit],
    refusals: Sequence[tuple[str, str]],
    absent: str | None,
) -> tuple[str, ...]:
    """Why nothing fits, the nearest miss first, with numbers; ``refusals`` are (what, why)."""
    lines = [absent] if absent else []
    sentence = refuse.size_sentence(subject, case, most_available(case.inventory))
    if sentence and (absent or not misses):
        lines.append(sentence)
    lines += [miss.reason for miss in nearest(misses)]
    if subject.unlisted and not misses:
        lines.append(f"{subject.unlisted[0]} has GGUF files whose names are not known here")
    elif not subject.candidates:
        lines.append(f"no downloadable weights of {subject.id} are known")
    if not misses:
        first = {why: f"{what}: {why}" for what, why in reversed(refusals)}
        lines += list(first.values())[::-1][:_SHOWN_MISSES]
    return tuple(dict.fromkeys(lines)) or ("nothing here can run it",)


def telling(rejected: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the hard constraints left out; what nobody wonders about only where that is all."""
    told = [item for item in rejected if not any(word in item[1] for word in _OBVIOUS)]
    return told or list(rejected)


def nearest(misses: Sequence[DoesNotFit]) -> list[DoesNotFit]:
    """The misses that come nearest, one per pair of numbers, with the real weights' size."""
    ranked = sorted(
        misses,
        key=lambda m: (
            m.bound,
            m.needed_bytes - m.available_bytes,
            BACKENDS.index(m.option.backend),
        ),
    )
    by_numbers = {(m.needed_bytes, m.available_bytes): m for m in reversed(ranked)}
    return [precise(miss) for miss in list(by_numbers.values())[::-1][:_SHOWN_MISSES]]


def precise(miss: DoesNotFit) -> DoesNotFit:
    """A miss told by a lower bound, with the size of its weights instead."""
    weights = miss.option.candidate.shape.weights.total_bytes
    if miss.needed_bytes >= weights:
        return miss
    return too_large_by(miss.option, weights, miss.available_bytes)
