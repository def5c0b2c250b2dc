"""The quantized KV cache that the planner may choose: which type, and where it is allowed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.engines.registry import engine
from modelscan.engines.support import NATIVE, gpu_support

if TYPE_CHECKING:
    from modelscan.core.workload import Workload
    from modelscan.planner.context import Option


def with_small_cache(option: Option, wishes: Workload, task: str) -> Workload | None:
    """The wishes with the engine's 8-bit KV cache; None where the user chose a type, the engine
    or the GPU has no arithmetic for it, or the task keeps no cache.
    """
    one = engine(option.backend)
    if task != "chat" or wishes.kv_cache_k or wishes.kv_cache_v or _named(wishes, option):
        return None
    if not one.runs_gguf and not _computes_fp8(option):
        return None
    if one.runs_gguf and wishes.flash_attention == "off":
        return None  # the values' cache is quantized only with flash attention
    return replace(wishes, kv_cache_k=one.small_cache.name, kv_cache_v=one.small_cache.name)


def _named(wishes: Workload, option: Option) -> bool:
    names = engine(option.backend).option_names
    return any(wishes.parameter(name) is not None for name in names.kv_cache)


def _computes_fp8(option: Option) -> bool:
    """Whether the GPU computes in FP8: elsewhere the cache would be converted at every step."""
    gpus = option.gpus
    if not gpus:
        return False
    return gpu_support("safetensors", "FP8", option.backend, gpus[0]).kind == NATIVE
