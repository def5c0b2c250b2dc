"""Engines with a KV pool (vLLM, SGLang): from GPUs to one Estimate, with margin and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from modelscan.core.architecture import Architecture, ModelShape
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.units import MIB, format_bytes
from modelscan.core.workload import Workload
from modelscan.memory import tensor_parallel as tensor_rules

# Residuals of the rows with all terms (benchmarks/bench_memory_gpu.py prints them): 90 % of the
# start-up terms beside the pool are within 256 MiB + 1 % of the weights of one GPU.
_MARGIN_FIXED_BYTES = 256 * MIB
_MARGIN_WEIGHTS_SHARE = 0.01


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


def margin_bytes(ranks: Sequence[Rank]) -> int:
    """How far the sum over GPUs may be off."""
    return sum(
        _MARGIN_FIXED_BYTES + round(rank.device.parts.weights_bytes * _MARGIN_WEIGHTS_SHARE)
        for rank in ranks
    )


def assemble(
    shape: ModelShape,
    workload: Workload,
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
    margin = margin_bytes(ranks)
    scarcest = min(ranks, key=lambda rank: (rank.tokens is None, rank.tokens or 0))
    spread = _weights_spread(shape)
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
        verdict=_verdict(ranks, problems, parallel) if known_hardware else None,
        low_bytes=None if spread is None else parts.total_bytes - spread[0],
        high_bytes=None if spread is None else parts.total_bytes + spread[1],
        host=_host(ranks),
        assumptions=assumptions,
        warnings=(*problems, *_notes(shape, ranks, parallel, problems)),
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


def _verdict(ranks: Sequence[Rank], problems: tuple[str, ...], parallel: int) -> str:
    """``tight``: it starts, but within the margin, or cannot serve ``parallel`` at full length."""
    if problems:
        return "does_not_fit"
    for rank in ranks:
        pool = rank.device.kv_pool_bytes
        if pool is None:
            continue
        margin = margin_bytes([rank])
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
    shape: ModelShape, ranks: Sequence[Rank], parallel: int, problems: tuple[str, ...]
) -> tuple[str, ...]:
    notes = list(shape.architecture.notes) if not shape.architecture.known else []
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
