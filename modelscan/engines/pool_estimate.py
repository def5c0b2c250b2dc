"""Engines with a KV pool (vLLM, SGLang): from GPUs to one Estimate, with margin and verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.errors import NotDeployableError
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.gpu import Inventory
from modelscan.core.units import format_bytes
from modelscan.core.workload import Workload
from modelscan.engines import margin as margins
from modelscan.memory import tensor_parallel as tensor_rules

_FORMATS = {
    "gguf": "use --backend llama.cpp",
    "mlx": "mlx_lm.server --model PATH runs it on Apple silicon (pip install mlx-lm)",
}


@dataclass(frozen=True, slots=True)
class Rank:
    """One GPU of a deployment and what its pool holds; None where its memory is unknown."""

    device: DeviceEstimate
    tokens: int | None
    concurrency: float | None
    bytes_per_token: float
    request_bytes: int
    host_bytes: int = 0


def unsplittable(architecture: Architecture, degree: int, backend: str) -> list[str]:
    """The reason against this tensor-parallel degree, as a list of none or one."""
    reason = tensor_rules.reject_reason(architecture, degree, backend)
    return [f"tensor parallel {degree}: {reason}"] if reason else []


def refuse_format(shape: ModelShape, workload: Workload, backend: str) -> None:
    """Raises NotDeployableError for GGUF and MLX files, unless ``--force`` insists."""
    hint = _FORMATS.get(shape.format)
    if hint and not workload.force:
        size = format_bytes(shape.weights.total_bytes)
        raise NotDeployableError(
            f"{backend} does not run {shape.format.upper()} files ({size} of weights)", hint=hint
        )


def fewest_gpus(
    architecture: Architecture,
    workload: Workload,
    inventory: Inventory | None,
    backend: str,
    run: Callable[[Workload], Estimate],
) -> Estimate:
    """``run`` with the smallest tensor-parallel degree that fits, where none was asked for.

    The largest degree's answer where none fits.
    """
    count = len(inventory.gpus) if inventory else 0
    options = ("tensor-parallel-size", "tp-size", "tp", "pipeline-parallel-size", "pp-size")
    said = workload.tensor_parallel or workload.pipeline_parallel or workload.gpus is not None
    if count < 2 or said or any(workload.parameter(name) for name in options):
        return run(workload)
    for degree in tensor_rules.allowed(architecture, count, backend):
        found = run(replace(workload, tensor_parallel=degree))
        if found.verdict != "does_not_fit":
            break
    return found


def assemble(
    shape: ModelShape,
    ranks: Sequence[Rank],
    *,
    backend: str,
    version: str,
    context_tokens: int,
    parallel: int,
    tensor_parallel: int,
    problems: tuple[str, ...],
    assumptions: tuple[str, ...],
    known_hardware: bool,
) -> Estimate:
    """The Estimate of a pool engine: sums, the scarcest rank's capacity, verdict."""
    parts = _sum(ranks)
    scarcest = min(ranks, key=lambda rank: (rank.tokens is None, rank.tokens or 0))
    spread = _weights_spread(shape)
    margin = margins.margin_of(backend, version, parts, len(ranks), shape)
    verdict = _verdict(ranks, problems, parallel, margin // len(ranks)) if known_hardware else None
    return Estimate(
        model=shape.architecture.name,
        backend=backend,
        backend_version=version,
        quantization=shape.quantization,
        context_tokens=context_tokens,
        parallel=parallel,
        tensor_parallel=tensor_parallel,
        parts=parts,
        total_bytes=parts.total_bytes,
        per_gpu=tuple(rank.device for rank in ranks),
        kv_bytes_per_token=round(max(rank.bytes_per_token for rank in ranks)),
        kv_capacity_tokens=scarcest.tokens,
        max_concurrency=None if scarcest.concurrency is None else round(scarcest.concurrency, 2),
        basis=_basis(shape),
        margin_bytes=margin,
        verdict=verdict,
        low_bytes=None if spread is None else parts.total_bytes - spread[0],
        high_bytes=None if spread is None else parts.total_bytes + spread[1],
        host=_host(ranks),
        assumptions=assumptions,
        warnings=(*problems, *_notes(shape, ranks, context_tokens, parallel, problems)),
    )


def _sum(ranks: Sequence[Rank]) -> Parts:
    return Parts(
        **{
            field.name: sum(getattr(rank.device.parts, field.name) for rank in ranks)
            for field in fields(Parts)
        }
    )


def _basis(shape: ModelShape) -> str:
    guessed = not shape.architecture.known or shape.weights.basis == "range"
    return "range" if guessed else "computed"


def _weights_spread(shape: ModelShape) -> tuple[int, int] | None:
    """How far below and above the weights may be, when they are a range."""
    weights = shape.weights
    if weights.low_bytes is None or weights.high_bytes is None:
        return None
    return weights.total_bytes - weights.low_bytes, weights.high_bytes - weights.total_bytes


def _verdict(ranks: Sequence[Rank], problems: tuple[str, ...], parallel: int, margin: int) -> str:
    """``tight``: it starts, but within the margin, or cannot serve ``parallel`` at full length."""
    if problems:
        return "does_not_fit"
    for rank in ranks:
        pool = rank.device.kv_pool_bytes
        if pool is None:
            continue
        if pool - rank.request_bytes < margin or pool < rank.request_bytes * parallel:
            return "tight"
    return "tight" if any(_overfull(rank) for rank in ranks) else "fits"


def _overfull(rank: Rank) -> bool:
    """Whether what the engine takes beside its budget (context, graphs) exceeds the free memory."""
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


def _notes(
    shape: ModelShape,
    ranks: Sequence[Rank],
    context_tokens: int,
    parallel: int,
    problems: tuple[str, ...],
) -> tuple[str, ...]:
    notes = list(shape.architecture.notes)
    trained = shape.architecture.context_tokens
    if trained and context_tokens > trained:
        notes.append(
            f"{context_tokens} tokens are more than the {trained} the model was trained for: the "
            "engine refuses to start unless its position scaling is configured"
        )
    short = [rank for rank in ranks if (rank.concurrency or parallel) < parallel]
    if short and not problems:
        notes.append(
            f"the pool holds {min(rank.concurrency or 0 for rank in short):.2f} requests of full "
            f"length, {parallel} were asked for: others wait"
        )
    crowded = [rank.device for rank in ranks if _overfull(rank)]
    if crowded and not problems:
        device = crowded[0]
        notes.append(
            f"GPU {device.index}: CUDA context and graphs come on top of the budget and may not "
            f"fit into {format_bytes(device.free_bytes)} free; lower the utilisation a little"
        )
    return tuple(notes)
