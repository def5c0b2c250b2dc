"""Engines with a KV pool (vLLM, SGLang): from GPUs to one Estimate, with margin and verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Protocol

from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import format_bytes
from modelscan.core.verdict import Basis, Verdict
from modelscan.core.workload import Backend, Workload
from modelscan.engines.pool_settings import DEGREES
from modelscan.engines.residuals import Residuals
from modelscan.memory import tensor_parallel as tensor_rules
from modelscan.memory.verdict import DOES_NOT_FIT, FITS, TIGHT, UNKNOWN, Judgement

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.gpu import Gpu, Inventory
    from modelscan.memory.split_rules import SplitRules

_FORMATS = {
    "gguf": "use --backend llama.cpp",
    "mlx": "mlx_lm.server --model PATH runs it on Apple silicon (pip install mlx-lm)",
}


@dataclass(frozen=True, slots=True)
class Rank:
    """One GPU of a deployment and its pool's capacity; None if its memory is unknown."""

    device: DeviceEstimate
    tokens: int | None
    concurrency: float | None
    bytes_per_token: float
    request_bytes: int
    host_bytes: int = 0


class PoolSettings(Protocol):
    """The settings common to every engine with a pool."""

    @property
    def parallel(self) -> int:
        """Requests served at once."""

    @property
    def tensor_parallel(self) -> int:
        """GPUs per pipeline stage."""

    @property
    def pipeline_parallel(self) -> int:
        """Pipeline stages."""

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs in use; empty when the hardware is unknown."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of an engine, the subject of an estimate. ``gpus`` is () if none is known."""

    backend: Backend
    version: str
    context_tokens: int
    settings: PoolSettings
    residuals: Residuals
    assumptions: tuple[str, ...]

    @property
    def known_hardware(self) -> bool:
        """Whether the GPUs are known."""
        return bool(self.settings.gpus)


def smallest_start(
    shape: ModelShape,
    workload: Workload,
    inventory: Inventory | None,
    title: str,
    run: Callable[[Workload], Estimate],
) -> Estimate:
    """``run`` with the smallest tensor-parallel degree that fits, where none was requested; the
    largest degree's answer where none fits.

    Raises NotDeployableError for GGUF and MLX files, unless ``--force`` insists.
    """
    _refuse_format(shape, workload, title)
    count = len(inventory.gpus) if inventory else 0
    if count < 2 or _placed(workload):
        return run(workload)
    for degree in tensor_rules.allowed(shape.architecture, count):
        result = run(replace(workload, tensor_parallel=degree))
        if result.verdict is not Verdict.DOES_NOT_FIT:
            break
    return result


def _refuse_format(shape: ModelShape, workload: Workload, title: str) -> None:
    hint = _FORMATS.get(shape.format)
    if hint and not workload.force:
        size = format_bytes(shape.weights.total_bytes)
        raise NotDeployableError(
            f"{title} does not run {shape.format.upper()} files ({size} of weights)", hint=hint
        )


def _placed(workload: Workload) -> bool:
    """Whether the user chose GPUs or a degree."""
    if workload.tensor_parallel or workload.pipeline_parallel or workload.gpus is not None:
        return True
    return any(workload.parameter(name) for name in DEGREES)


def pool_device(
    gpu: Gpu | None, slot: int, parts: Parts, pool_bytes: int | None, budget_bytes: int | None
) -> DeviceEstimate:
    """One GPU (or the ``slot``-th of unknown ones); a negative pool counts as an empty one."""
    return DeviceEstimate(
        index=gpu.index if gpu else slot,
        parts=parts,
        total_bytes=parts.total_bytes,
        kv_pool_bytes=None if pool_bytes is None else max(0, pool_bytes),
        budget_bytes=budget_bytes,
        memory_bytes=gpu.memory_bytes if gpu else None,
        free_bytes=gpu.free_bytes if gpu else None,
    )


def ranks_of(settings: PoolSettings, rank: Callable[[int, int], Rank]) -> list[Rank]:
    """``rank(stage, slot)`` of every GPU: the stages of the pipeline in order."""
    count = settings.tensor_parallel
    return [
        rank(stage, stage * count + slot)
        for stage in range(settings.pipeline_parallel)
        for slot in range(count)
    ]


def start_problems(
    architecture: Architecture,
    settings: PoolSettings,
    ranks: Sequence[Rank],
    problem: Callable[[Rank], str | None],
    rules: SplitRules,
) -> tuple[str, ...]:
    """Why the engine would not start: too few GPUs, a degree that does not divide the model, or
    a ``problem`` of a GPU; () if it starts.
    """
    problems: list[str] = []
    needed = settings.tensor_parallel * settings.pipeline_parallel
    if settings.gpus and len(settings.gpus) < needed:
        problems.append(f"{needed} GPUs are needed, {len(settings.gpus)} are available")
    reason = tensor_rules.reject_reason(architecture, settings.tensor_parallel, rules)
    if reason:
        problems.append(f"tensor parallel {settings.tensor_parallel}: {reason}")
    problems += [reason for reason in map(problem, ranks) if reason]
    return tuple(dict.fromkeys(problems))


def assemble(
    shape: ModelShape, ranks: Sequence[Rank], start: Start, problems: tuple[str, ...]
) -> Estimate:
    """The Estimate of a pool engine: sums, the scarcest rank's capacity, verdict."""
    parts = _sum(ranks)
    scarcest = min(ranks, key=lambda rank: (rank.tokens is None, rank.tokens or 0))
    low, high = _range(shape, parts.total_bytes)
    unified = sum(gpu.memory_bytes or 0 for gpu in start.settings.gpus if gpu.unified_memory)
    margin = start.residuals.margin_bytes(parts, len(ranks), shape, unified)
    parallel = start.settings.parallel
    judgement = UNKNOWN
    if start.known_hardware:
        judgement = _verdict(ranks, problems, parallel, margin // len(ranks))
    notes = () if problems else capacity_notes(ranks, parallel)
    return Estimate(
        model=shape.architecture.name,
        backend=start.backend,
        backend_version=start.version,
        quantization=shape.quantization,
        context_tokens=start.context_tokens,
        parallel=parallel,
        tensor_parallel=start.settings.tensor_parallel,
        parts=parts,
        total_bytes=parts.total_bytes,
        per_gpu=tuple(rank.device for rank in ranks),
        kv_bytes_per_token=round(max(rank.bytes_per_token for rank in ranks)),
        kv_capacity_tokens=scarcest.tokens,
        max_concurrency=None if scarcest.concurrency is None else round(scarcest.concurrency, 2),
        basis=_basis(shape),
        margin_bytes=margin,
        verdict=judgement.verdict,
        within_margin=judgement.within_margin,
        low_bytes=low,
        high_bytes=high,
        host=_host(ranks),
        assumptions=start.assumptions,
        warnings=(*problems, *shape.architecture.notes, *notes),
    )


def _sum(ranks: Sequence[Rank]) -> Parts:
    return Parts(
        **{
            field.name: sum(getattr(rank.device.parts, field.name) for rank in ranks)
            for field in fields(Parts)
        }
    )


def _basis(shape: ModelShape) -> Basis:
    guessed = not shape.architecture.known or shape.weights.basis == "range"
    return "range" if guessed else "computed"


def _range(shape: ModelShape, total: int) -> tuple[int | None, int | None]:
    """The total with the least and the most that the weights may be, when they are a range."""
    weights = shape.weights
    if weights.low_bytes is None or weights.high_bytes is None:
        return None, None
    spread = total - weights.total_bytes
    return spread + weights.low_bytes, spread + weights.high_bytes


def _verdict(
    ranks: Sequence[Rank], problems: tuple[str, ...], parallel: int, margin: int
) -> Judgement:
    """``TIGHT``: it starts, but within the margin, or cannot serve ``parallel`` at full length."""
    if problems:
        return DOES_NOT_FIT
    for rank in ranks:
        pool = rank.device.kv_pool_bytes
        if pool is None:
            continue
        if pool - rank.request_bytes < margin or pool < rank.request_bytes * parallel:
            return TIGHT
    return TIGHT if any(_overfull(rank) for rank in ranks) else FITS


def _overfull(rank: Rank) -> bool:
    """Whether the memory outside of the budget (context, graphs) exceeds what is free."""
    device = rank.device
    if device.free_bytes is None or device.kv_pool_bytes is None:
        return False
    parts = device.parts
    cache = parts.kv_cache_bytes + parts.recurrent_state_bytes
    return parts.total_bytes - cache + device.kv_pool_bytes > device.free_bytes


def _host(ranks: Sequence[Rank]) -> DeviceEstimate | None:
    offloaded = sum(rank.host_bytes for rank in ranks)
    if not offloaded:
        return None
    parts = Parts(weights_bytes=offloaded)
    return DeviceEstimate(index=None, parts=parts, total_bytes=offloaded)


def capacity_notes(ranks: Sequence[Rank], parallel: int) -> tuple[str, ...]:
    """Notes on requests that must wait, and on GPUs whose memory outside the budget may not
    suffice.
    """
    notes = []
    short = [rank for rank in ranks if (rank.concurrency or parallel) < parallel]
    if short:
        notes.append(
            f"the pool holds {min(rank.concurrency or 0 for rank in short):.2f} requests of full "
            f"length, {parallel} were requested: others wait"
        )
    crowded = next((rank.device for rank in ranks if _overfull(rank)), None)
    if crowded is not None:
        notes.append(
            f"GPU {crowded.index}: CUDA context and graphs come on top of the budget and may not "
            f"fit into {format_bytes(crowded.free_bytes)} free; lower the utilisation a little"
        )
    return tuple(notes)
