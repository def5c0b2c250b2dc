"""What a plan had to give up or set so that it fits, as notes among its reasons."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.units import format_tokens
from modelscan.engines.registry import engine

if TYPE_CHECKING:
    from modelscan.engines.flags import LaunchSettings
    from modelscan.planner.feasibility import FittingOption

FEW_REQUESTS = 64


def noted(fitting: FittingOption, usual_share: float | None = None) -> FittingOption:
    """The option with its notes; ``usual_share``: the memory share without other programs."""
    return replace(fitting, notes=tuple(_notes(fitting, usual_share)))


def _notes(fitting: FittingOption, usual_share: float | None) -> Iterator[str]:
    launch, context = fitting.launch, fitting.estimate.context_tokens
    if launch.context_tokens < fitting.target_tokens:
        trained = format_tokens(fitting.target_tokens)
        yield f"context reduced from {trained} to {format_tokens(context)} to fit"
    if launch.positions is not None:
        yield (
            f"positions scaled {launch.positions.factor} times by YaRN over "
            f"{launch.positions.original_tokens:,} tokens, as the model's card documents: short "
            "texts may lose quality"
        )
    if launch.unknown_context:
        yield (
            f"the trained length is not known: {launch.backend} takes as much of it as fits, at "
            f"least {format_tokens(context)}"
        )
    if launch.online:
        yield launch.online.note
    if fitting.small_cache:
        yield _cache_note(fitting)
    if launch.memory_utilization is not None and launch.memory_utilization != usual_share:
        yield (
            f"--gpu-memory-utilization {launch.memory_utilization:g}: "
            "other programs use part of the device's memory"
        )
    if launch.parallel == FEW_REQUESTS and not fitting.wishes.parallel:
        yield f"--max-num-seqs {FEW_REQUESTS}: frees memory for the context"
    if fitting.offload == "partial":
        layers = len(fitting.option.candidate.shape.architecture.layers)
        yield _offload_note(launch, layers)
    if fitting.crowded:
        yield (
            f"the KV cache has room for {fitting.estimate.max_concurrency or 0:.1f} requests "
            f"of full length at once, {fitting.estimate.parallel} were requested: others wait"
        )
    if fitting.within_margin:
        yield "within the estimate's margin of the free memory: the engine may fail to start"


def _cache_note(fitting: FittingOption) -> str:
    small = engine(fitting.option.backend).small_cache
    cost = f"perplexity +{100 * math.expm1(small.loss):.2g} %"
    return f"KV cache in {small.name}: half the bytes of 16 bits, {cost} ({small.source})"


def _offload_note(launch: LaunchSettings, layers: int) -> str:
    parts = []
    if launch.cpu_experts:
        parts.append(f"the experts of {launch.cpu_experts} of {layers} layers stay in host memory")
    if launch.gpu_layers is not None:
        parts.append(f"{layers - launch.gpu_layers} of {layers} layers run on the CPU")
    return ", ".join(parts)
