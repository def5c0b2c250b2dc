"""Ollama's model options and OLLAMA_* variables: from a plan, and back to a workload."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from modelscan.engines.option_names import LaunchSettings, OptionNames, OptionPair

if TYPE_CHECKING:
    from modelscan.core.workload import Workload

NAMES = OptionNames(
    context=("num-ctx",),
    kv_cache=("ollama-kv-cache-type",),
    gpu_layers=("num-gpu",),
    memory=("num-batch", "ollama-context-length", "ollama-num-parallel"),
)
# Of a Modelfile's parameters, those that change no allocation.
HARMLESS = frozenset({
    "num-predict", "num-keep", "num-thread", "use-mmap", "repeat-last-n", "top-k", "top-p", "min-p",
    "tfs-z", "typical-p", "mirostat", "mirostat-eta", "mirostat-tau", "stop",
    "ollama-flash-attention",
})  # fmt: skip
_SWITCH = {"1": "on", "0": "off"}


def options(launch: LaunchSettings, workload: Workload) -> Iterable[OptionPair]:
    """The model's parameters, for ``PARAMETER`` lines."""
    yield NAMES.context[0], str(launch.context_tokens)
    if launch.gpu_count == 0:
        yield "num-gpu", "0"
    elif launch.gpu_layers is not None:
        yield "num-gpu", str(launch.gpu_layers)
    if workload.ubatch:
        yield "num-batch", str(workload.ubatch)


def environment(launch: LaunchSettings, workload: Workload) -> dict[str, str]:
    """The server's variables: slots, the cache's type, flash attention."""
    env = {"OLLAMA_NUM_PARALLEL": str(launch.parallel or 1)}
    if workload.kv_cache_k:
        env["OLLAMA_KV_CACHE_TYPE"] = workload.kv_cache_k
    if workload.flash_attention in ("on", "off"):
        env["OLLAMA_FLASH_ATTENTION"] = "1" if workload.flash_attention == "on" else "0"
    return env


def from_environment(env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """(cache type, flash attention) that the variables set; None if not set."""
    flash = _SWITCH.get(env.get("OLLAMA_FLASH_ATTENTION", ""))
    return env.get("OLLAMA_KV_CACHE_TYPE"), flash
