"""SGLang's effective settings: the requested options, and its defaults by version and card."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelscan.core.gpu import Gpu, Inventory
from modelscan.core.units import GIB
from modelscan.engines.option_values import decimal, flag, share, whole
from modelscan.engines.pool_settings import degrees, kv_dtype, selected_gpus
from modelscan.engines.sglang.flags import NAMES
from modelscan.engines.sglang.versions import (
    SglangVersion,
    auto_fraction,
    batch_defaults,
    vision_factor,
)
from modelscan.memory import defaults
from modelscan.memory.stated_cache import MODELOPT, cache_type

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture
    from modelscan.core.workload import Workload


@dataclass(frozen=True, slots=True)
class SglangSettings:
    """Resolved settings; ``fraction`` is mem_fraction_static."""

    context_tokens: int
    parallel: int
    fraction: float
    fraction_requested: bool
    chunk: int
    graph_batch: int
    running: int | None
    kv_dtype: str
    tensor_parallel: int
    pipeline_parallel: int
    page: int
    pool_tokens: int | None
    state_ratio: float
    state_slots: int | None
    sliding_ratio: float
    sliding_pool: bool
    graphs: bool
    radix_cache: bool
    drafted: int  # tokens of a speculation step: states are kept for each
    speculative_mtp: bool
    cpu_offload_bytes: int
    loras: int
    lora_rank: int
    gpus: tuple[Gpu, ...]

    @property
    def kv_element_bytes(self) -> float:
        """Bytes per cached value."""
        if "fp4" in self.kv_dtype:
            return 0.5625
        return 1.0 if "fp8" in self.kv_dtype else 2.0


def resolve(
    architecture: Architecture,
    workload: Workload,
    inventory: Inventory | None,
    facts: SglangVersion,
) -> SglangSettings:
    """Settings of one deployment; options that are not set get the version's default."""
    tensor, pipeline = degrees(workload, NAMES)
    gpus = selected_gpus(workload, inventory, tensor * pipeline)
    memory = gpus[0].memory_bytes if gpus else None
    default_chunk, default_batch = batch_defaults(memory, tensor)
    chunk = whole(workload, "chunked-prefill-size") or default_chunk
    batch = _graph_batch(workload) or default_batch
    running = whole(workload, *NAMES.max_requests)
    fraction_requested = share(workload, *NAMES.memory_share)
    default = auto_fraction(facts, memory, chunk, batch, tensor * pipeline)
    if architecture.vision and facts.vision_factor:
        default *= _tower(architecture)
    return SglangSettings(
        context_tokens=whole(workload, *NAMES.context)
        or defaults.context_tokens(workload, architecture),
        parallel=workload.parallel or 1,
        fraction=fraction_requested or default,
        fraction_requested=bool(fraction_requested),
        chunk=chunk,
        graph_batch=batch,
        running=running,
        kv_dtype=cache_type(kv_dtype(workload, "SGLang", NAMES), architecture, _followed(facts)),
        tensor_parallel=tensor,
        pipeline_parallel=pipeline,
        page=whole(workload, "page-size") or 1,
        pool_tokens=whole(workload, "max-total-tokens"),
        state_ratio=decimal(workload, "mamba-full-memory-ratio") or 0.9,
        state_slots=whole(workload, "max-mamba-cache-size"),
        sliding_ratio=decimal(workload, "swa-full-tokens-ratio") or 0.8,
        sliding_pool=facts.sliding_pool and not flag(workload, "disable-hybrid-swa-memory"),
        graphs=not any(flag(workload, f"disable-{kind}cuda-graph") for kind in ("", "decode-")),
        radix_cache=not flag(workload, "disable-radix-cache"),
        drafted=whole(workload, "speculative-num-draft-tokens") or 0,
        speculative_mtp=workload.parameter("speculative-algorithm") is not None,
        cpu_offload_bytes=round((decimal(workload, "cpu-offload-gb") or 0) * GIB),
        loras=_loras(workload),
        lora_rank=whole(workload, "max-lora-rank") or 16,
        gpus=gpus,
    )


def _loras(workload: Workload) -> int:
    """Adapters in a batch: 8, unless the option says otherwise. Code: server_args.py."""
    asked = flag(workload, "enable-lora") or workload.parameter("lora-paths") is not None
    if not workload.adapters and not asked:
        return 0
    return whole(workload, "max-loras-per-batch") or 8


def _graph_batch(workload: Workload) -> int | None:
    """The largest batch that graphs are captured for, where an option sets it."""
    for name in ("cuda-graph-bs", "cuda-graph-bs-decode"):
        sizes = re.findall(r"(?<!\d)\d{1,7}(?!\d)", workload.parameter(name) or "", re.ASCII)
        if sizes:
            return max(map(int, sizes))
    return whole(workload, "cuda-graph-max-bs", "cuda-graph-max-bs-decode")


def _followed(facts: SglangVersion) -> tuple[str, ...]:
    """Checkpoints whose own cache type "auto" selects: ModelOpt's only."""
    return (MODELOPT,) if facts.since >= (0, 5, 0) else ()


def _tower(architecture: Architecture) -> float:
    layers = architecture.extra.get("vision_layers")
    hidden = architecture.extra.get("vision_hidden")
    return vision_factor(int(layers) if layers else None, int(hidden) if hidden else None)
