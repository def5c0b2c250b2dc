"""Text of a decision: the Plan with its reasons, and the reasons of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.plan import Plan, ResolvedModel
from modelscan.core.units import format_bytes, format_speed, format_tokens
from modelscan.core.workload import BACKENDS
from modelscan.engines.flags import environment, render
from modelscan.engines.origins import origins
from modelscan.engines.registry import engine
from modelscan.engines.speed_history import MEASURED_HERE
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
from modelscan.planner.search import Rejected, Rejection

if TYPE_CHECKING:
    from modelscan.core.estimate import DeviceEstimate, Estimate
    from modelscan.core.gpu import Inventory

_SHOWN_MISSES = 3
_SHOWN_DEVICES = 4
_OBVIOUS = (Rejection.FORMAT, Rejection.ON_REQUEST)  # shown only if there are no others


def plan(
    model: ResolvedModel,
    fitting: FittingOption,
    case: PlanningContext,
    misses: Sequence[DoesNotFit],
) -> Plan:
    """The Plan of an option that fits."""
    option, launch = fitting.option, fitting.launch
    variant, wishes = option.candidate.variant, fitting.wishes
    every = not _must_hide(fitting, case)
    local = variant.source == "local_path"
    shape_path = option.candidate.shape.path
    return Plan(
        model=model.id,
        quantization=variant.quantization,
        backend=option.backend,
        backend_version=wishes.backend_version or fitting.estimate.backend_version,
        source=variant.source,
        repo=(shape_path or variant.repo) if local else variant.repo,
        files=tuple(file.path for file in variant.files),
        gpus=tuple(gpu.index for gpu in option.gpus),
        tensor_parallel=launch.tensor_parallel,
        pipeline_parallel=launch.pipeline_parallel,
        context_tokens=fitting.estimate.context_tokens,
        parallel=fitting.estimate.parallel,
        parameters=render(fitting.chosen),
        env=environment(launch, wishes, option.gpus, every),
        estimate=_estimate(fitting, case),
        reasons=(*reasons(fitting, case, misses, _published(model)), *model.notes),
        task=case.task,
        format=variant.format,
        revision=variant.revision,
        worker=option.gpus[0].worker if option.gpus else None,
        adapters=wishes.adapters,
        settings={name: value if value is not None else True for name, value in fitting.chosen},
        support=option.support.kind or "forced",
        offload=fitting.offload if option.gpus else "cpu",
        within_margin=fitting.within_margin,
        files_expected=variant.listing == "expected",
        quality=option.candidate.quality,
    )


def _estimate(fitting: FittingOption, case: PlanningContext) -> Estimate:
    """The estimate with the origins of its parts, a warning if this build of the engine leaves GPUs
    unused, and one if the context is shorter than requested.
    """
    estimate = fitting.estimate
    estimate = replace(estimate, origins=origins(estimate, fitting.option.candidate.shape))
    notes = [_capped(fitting, case)]
    if case.inventory.gpus:
        notes.append(fitting.option.engine.note)
    new = tuple(note for note in notes if note is not None)
    return replace(estimate, warnings=(*estimate.warnings, *new)) if new else estimate


def _capped(fitting: FittingOption, case: PlanningContext) -> str | None:
    wanted, target = case.wishes.context_tokens, fitting.target_tokens
    if wanted is None or wanted <= target:
        return None
    one = engine(fitting.option.backend)
    by = f" (--param {one.option_names.positions[0]}=…)" if one.option_names.positions else ""
    return (
        f"context {format_tokens(target)} instead of the requested {format_tokens(wanted)}: the "
        f"model was trained for {format_tokens(target)}, and {one.title} serves no more without "
        f"scaled positions{by}"
    )


def _must_hide(fitting: FittingOption, case: PlanningContext) -> bool:
    """Whether to restrict the devices that the engine sees.

    A real inventory may be a selection (``--gpu 1``), so it always is restricted there; on a
    cluster the scheduler assigns the devices.
    """
    source = case.inventory.source
    some = len(fitting.option.gpus) < len(case.inventory.gpus)
    return source == "local" or (source == "simulated" and some)


def _published(model: ResolvedModel) -> int:
    """The number of variants that exist as files."""
    return sum(not candidate.online for candidate in model.candidates)


def reasons(
    fitting: FittingOption, case: PlanningContext, misses: Sequence[DoesNotFit], variants: int
) -> list[str]:
    """Reasons for the quantization, engine, devices and context, notes, and the expected speed."""
    lines = [_quantization(fitting, variants), *_publisher(fitting)]
    lines += [f"not {miss.reason}" for miss in _better(fitting, misses)]
    lines += _files(fitting)
    lines.append(_engine(fitting, case))
    lines.append(_devices(fitting, case))
    lines.append(_context(fitting, case))
    lines += fitting.option.support.notes
    lines += fitting.notes
    lines += _speed(fitting)
    return lines


def _quantization(fitting: FittingOption, variants: int) -> str:
    candidate = fitting.option.candidate
    name = candidate.variant.quantization or "weights as released"
    quality = quality_words.describe(candidate.quality) if candidate.quality else "quality unknown"
    count = f", of {variants} variants" if variants > 1 else ", the only variant"
    return f"{name}: {quality}{count}"


def _publisher(fitting: FittingOption) -> list[str]:
    """Who made the weights, where it is not the model's makers."""
    candidate = fitting.option.candidate
    owner = candidate.variant.repo.partition("/")[0]
    if candidate.publisher in ("evaluator", "known"):
        return [f"published by {owner}: no weights of the makers in this format are known"]
    if candidate.publisher == "other":
        return [
            f"published by {owner}: no weights of the makers or a known publisher in this format "
            "are known"
        ]
    return []


def _better(fitting: FittingOption, misses: Sequence[DoesNotFit]) -> list[DoesNotFit]:
    """Formats of higher quality that did not fit, the best first."""
    mine = _loss(fitting.option.candidate)
    better = [miss for miss in misses if _loss(miss.option.candidate) < mine]
    best: dict[str | None, DoesNotFit] = {}
    for miss in sorted(better, key=lambda m: m.needed_bytes - m.available_bytes):
        best.setdefault(miss.option.candidate.variant.quantization, miss)
    return sorted(best.values(), key=lambda m: _loss(m.option.candidate))[:_SHOWN_MISSES]


def _loss(candidate: object) -> float:
    quality = getattr(candidate, "quality", None)
    return quality.loss if quality else 0.0


def _files(fitting: FittingOption) -> list[str]:
    """How old the list of the files is, and what is not known of their names and sizes."""
    candidate = fitting.option.candidate
    variant, weights = candidate.variant, candidate.shape.weights
    if variant.format != "gguf" or variant.source == "local_path":
        return []
    date = (variant.listed_at or "")[:10]
    if variant.weight_bytes:
        return [f"the files of {variant.repo} as listed on {date}"] if date else []
    size = format_bytes(weights.total_bytes)
    if weights.low_bytes is not None and weights.high_bytes is not None:
        size = f"{format_bytes(weights.low_bytes)} to {format_bytes(weights.high_bytes)}"
    computed = f"the size of {variant.quantization} ({size}) is computed from the model's sizes"
    if variant.listing != "expected":
        return [f"{computed}; its name is listed as of {date}" if date else computed]
    name = f"the name {variant.files[0].path} is" if variant.files else "that it has this format is"
    return [f"{computed}; the files of {variant.repo} are not known here: {name} expected"]


def _engine(fitting: FittingOption, case: PlanningContext) -> str:
    option = fitting.option
    recipe = "; the catalog has a recipe for it" if option.recommended else ""
    assumed = "; assumed to be installed" if option.engine.source == "simulated" else ""
    others = "".join(f"; {reason}" for reason in _drawbacks(fitting, case))
    return f"{option.backend}: {option.support.reason}{recipe}{assumed}{others}"


def _drawbacks(fitting: FittingOption, case: PlanningContext) -> list[str]:
    """Why the first engine in the usual order is not preferred on these devices."""
    option = fitting.option
    if case.task != "chat" or not option.gpus or case.wishes.backend:
        return []
    engines = sorted((engine(one.name) for one in case.machine.engines), key=lambda e: e.preference)
    drawback = engines[0].drawback(option.gpus[0]) if engines else None
    return [drawback.reason] if drawback else []


def _devices(fitting: FittingOption, case: PlanningContext) -> str:
    option, estimate = fitting.option, fitting.estimate
    margin = format_bytes(estimate.margin_bytes)
    host = _share("host memory", estimate.host) + _assumed(case) if estimate.host else None
    if not option.gpus:
        reason = "no GPU" if not case.inventory.gpus else "not on the GPU"
        return f"CPU ({reason}): {host or format_bytes(estimate.total_bytes)} (± {margin})"
    split = ""
    if len(option.gpus) > 1:
        degree = option.tensor_parallel
        split = f", tensor parallel {degree}" if degree > 1 else ", split by layers"
    shares = _shares(estimate)
    if fitting.offload == "partial" and host:
        shares.append(host)
    return f"{device_label(option.gpus)}{split}: {', '.join(shares)} (± {margin})"


def _assumed(case: PlanningContext) -> str:
    """The host memory of simulated hardware, which is assumed, not measured."""
    memory = case.inventory.host.memory_bytes
    if not case.inventory.simulated or not memory or _unified(case.inventory):
        return ""
    return f" ({format_bytes(memory)} of RAM: --ram)"


def _unified(inventory: Inventory) -> bool:
    return any(gpu.unified_memory for gpu in inventory.gpus)


def _shares(estimate: Estimate) -> list[str]:
    """The memory of each device; equal amounts are listed once as "each"."""
    devices = estimate.per_gpu
    amounts = {(d.total_bytes, d.free_bytes, d.budget_bytes) for d in devices}
    if len(devices) > 1 and len(amounts) == 1:
        return [_share("each", devices[0])]
    shown = [_share(f"GPU {device.index}", device) for device in devices[:_SHOWN_DEVICES]]
    return [*shown, "…"] if len(devices) > _SHOWN_DEVICES else shown


def _share(name: str, device: DeviceEstimate) -> str:
    """``GPU 0 allocates 9.1 GiB of 23.5 GiB free``; engines with a KV pool reserve their budget."""
    free = f" of {format_bytes(device.free_bytes)} free" if device.free_bytes is not None else ""
    if device.budget_bytes is None or device.kv_pool_bytes is None:
        return f"{name} allocates {format_bytes(device.total_bytes)}{free}"
    cache = device.parts.kv_cache_bytes + device.parts.recurrent_state_bytes
    return (
        f"{name} reserves {format_bytes(device.budget_bytes)}{free}: "
        f"{format_bytes(device.total_bytes - cache)} for weights and buffers, "
        f"{format_bytes(device.kv_pool_bytes)} for the KV cache"
    )


def _context(fitting: FittingOption, case: PlanningContext) -> str:
    estimate = fitting.estimate
    trained = fitting.option.candidate.shape.architecture.context_tokens
    wanted = case.wishes.context_tokens
    origin = "as requested" if wanted and wanted <= fitting.target_tokens else "chosen"
    text = f"context {format_tokens(estimate.context_tokens)} {origin}"
    if trained:
        text += f", the model was trained for {format_tokens(trained)}"
    if estimate.kv_capacity_tokens:
        text += f"; KV cache: {estimate.kv_capacity_tokens:,} tokens"
    if trained and estimate.context_tokens > trained:
        text += "; longer than trained: quality may degrade"
    return text


def _speed(fitting: FittingOption) -> list[str]:
    speed = fitting.estimate.speed
    if speed is None or speed.decode_tokens_per_s is None:
        return []
    between = ""
    if speed.low is not None and speed.high is not None:
        between = f" ({format_speed(speed.low)} to {format_speed(speed.high)})"
    here = f", {MEASURED_HERE}" if MEASURED_HERE in speed.basis else ""
    rate = format_speed(speed.decode_tokens_per_s)
    return [f"about {rate} tokens/s for one request{between}{here}"]


def most_available(inventory: Inventory) -> int:
    """Free bytes of the largest set one model may use: the GPUs of one worker, else the host."""
    by_worker: dict[str | None, int] = {}
    for gpu in inventory.gpus:
        by_worker[gpu.worker] = by_worker.get(gpu.worker, 0) + free_bytes(gpu)
    return max(by_worker.values(), default=available_bytes((), inventory))


def refusal_reasons(
    model: ResolvedModel,
    case: PlanningContext,
    misses: Sequence[DoesNotFit],
    refusals: Sequence[tuple[str, str]],
    absent: str | None,
) -> tuple[str, ...]:
    """Why nothing fits, the nearest miss first, with numbers. ``refusals`` are (option, reason)."""
    lines = [absent] if absent else []
    sentence = refuse.size_sentence(model, case, most_available(case.inventory))
    if sentence and (absent or not misses):
        lines.append(sentence)
    lines += [miss.reason for miss in nearest(misses)]
    if model.unlisted and not misses:
        lines.append(f"{model.unlisted[0]} has GGUF files whose names are not known here")
    elif not model.candidates:
        lines.append(f"no downloadable weights of {model.id} are known")
    if not misses:
        first = {reason: f"{option}: {reason}" for option, reason in reversed(refusals)}
        lines += list(first.values())[::-1][:_SHOWN_MISSES]
    return tuple(dict.fromkeys(lines)) or ("no engine here can run it",)


def telling(rejected: Sequence[Rejected]) -> list[tuple[str, str]]:
    """Rejected options as (option, reason), without the obvious ones unless there are no others."""
    informative = [item for item in rejected if item.kind not in _OBVIOUS]
    return [(item.option, item.reason) for item in informative or rejected]


def nearest(misses: Sequence[DoesNotFit]) -> list[DoesNotFit]:
    """The misses with the smallest shortage, one per pair of numbers, with exact weights."""
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
    """A miss computed from a lower bound, with the exact size of its weights instead."""
    weights = miss.option.candidate.shape.weights.total_bytes
    if miss.needed_bytes >= weights:
        return miss
    return too_large_by(miss.option, weights, miss.available_bytes)
