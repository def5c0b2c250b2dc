"""The bytes an engine will allocate, itemised per device, with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from modelscan.core.verdict import Basis, Verdict
from modelscan.core.workload import Backend


@dataclass(frozen=True, slots=True)
class Parts:
    """Bytes by purpose. They add up to the total; a part an engine does not have is 0."""

    weights_bytes: int = 0
    kv_cache_bytes: int = 0
    recurrent_state_bytes: int = 0
    compute_bytes: int = 0  # activation peak / compute buffers
    output_bytes: int = 0
    non_torch_bytes: int = 0  # device context, NCCL, workspaces
    cuda_graph_bytes: int = 0
    vision_bytes: int = 0
    other_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The sum of all parts, in bytes."""
        return (
            self.weights_bytes + self.kv_cache_bytes + self.recurrent_state_bytes
            + self.compute_bytes + self.output_bytes + self.non_torch_bytes
            + self.cuda_graph_bytes + self.vision_bytes + self.other_bytes
        )  # fmt: skip


Origin = Literal["file", "computed", "measured", "assumed"]
"""Of a number: read from a file, computed by a formula, measured, or that of a typical model."""


@dataclass(frozen=True, slots=True)
class PartOrigin:
    """Where one part of an estimate (a field of ``Parts``) comes from."""

    part: str
    origin: Origin
    detail: str


@dataclass(frozen=True, slots=True)
class DeviceEstimate:
    """One device's share. ``index`` None is host memory (CPU part of llama.cpp)."""

    index: int | None
    parts: Parts
    total_bytes: int
    kv_pool_bytes: int | None = None  # reserved by vLLM/SGLang for the KV cache
    budget_bytes: int | None = None  # utilisation x total, for engines that reserve a share
    memory_bytes: int | None = None
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens per second of one request; ``low``/``high`` bound ``decode``; None = unknown.

    ``computed_…``: the formula's figures, where benchmarks on this machine have corrected them.
    """

    decode_tokens_per_s: float | None
    prefill_tokens_per_s: float | None
    low: float | None
    high: float | None
    basis: str
    computed_decode_tokens_per_s: float | None = None
    computed_prefill_tokens_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """``basis``: exact (the engine's own dry run)

    computed (formulas)

    range (guessed shape).

    ``verdict`` compares with the free memory of each device, None without hardware.
    ``within_margin``: it fits, but an error as large as the estimate's margin would make it fail.
    ``parts`` are sums over devices and add up to ``total_bytes``.
    """

    model: str
    backend: Backend
    backend_version: str | None
    quantization: str | None
    context_tokens: int
    parallel: int
    tensor_parallel: int
    parts: Parts
    total_bytes: int
    per_gpu: tuple[DeviceEstimate, ...]
    kv_bytes_per_token: int  # on one GPU, growing layers only
    kv_capacity_tokens: int | None
    max_concurrency: float | None
    basis: Basis
    margin_bytes: int
    verdict: Verdict | None = None
    within_margin: bool = False
    speed: Speed | None = None
    low_bytes: int | None = None
    high_bytes: int | None = None
    host: DeviceEstimate | None = None
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    origins: tuple[PartOrigin, ...] = ()  # of the parts that are not 0

    def _repr_html_(self) -> str:
        """A memory bar per device, host memory last, for notebooks."""
        from modelscan.core.html import memory_bar, paragraphs

        devices = [(f"GPU {device.index}", device) for device in self.per_gpu]
        if self.host is not None and (self.host.total_bytes or not devices):
            devices.append(("host", self.host))
        bars = [
            memory_bar(label, _bar(device.parts, device.kv_pool_bytes), device.memory_bytes)
            for label, device in devices
        ] or [memory_bar("memory", _bar(self.parts, None), None)]
        engine = f"{self.backend} {self.backend_version or ''}".rstrip()
        context = f"{self.context_tokens:,} tokens x {self.parallel}"
        title = f"{self.model}, {self.quantization or 'as released'}, {engine}; context {context}"
        return paragraphs((title,)) + "".join(bars)


def _bar(parts: Parts, kv_pool_bytes: int | None) -> list[tuple[str, int]]:
    """(name, bytes) of each part; for an engine with a KV pool, the pool instead of the cache."""
    sizes = {f.name.removesuffix("_bytes"): int(getattr(parts, f.name)) for f in fields(parts)}
    if kv_pool_bytes is not None:
        sizes["kv_cache"] = kv_pool_bytes
    return list(sizes.items())
