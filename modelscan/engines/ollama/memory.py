"""Ollama: llama.cpp's engine with Ollama's own defaults.

Defaults by version (documentation of the releases, and logs): context 2048 before 0.6, 4096 from
then on, and from 0.15.5 by the memory of the GPUs: 4k below 24 GiB, 32k below 48, else 256k.
Requests share one allocation of ``num_ctx x num_parallel`` cells; batch 512; flash attention
follows the model since 0.11 and was off before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from modelscan.core.errors import NotDeployableError
from modelscan.core.units import GIB, format_bytes
from modelscan.engines.llamacpp import memory as llamacpp
from modelscan.engines.ollama import NAME
from modelscan.engines.option_values import whole
from modelscan.engines.versions import Version, parse_version, row_for, unknown_note

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, ModelShape
    from modelscan.core.estimate import Estimate
    from modelscan.core.gpu import Inventory
    from modelscan.core.workload import Workload

OLDEST_VERSION, DEFAULT_VERSION = "0.1.0", "0.20.0"


@dataclass(frozen=True, slots=True)
class OllamaVersion:
    """Facts valid from ``since``. ``context_tokens`` None: chosen by the GPUs' memory."""

    since: Version
    context_tokens: int | None
    flash_attention: bool
    parallel: int
    source: str


VERSIONS = (
    OllamaVersion((0, 0, 0), 2048, False, 1, "0.1.48 log: num_ctx 2048, KV 256 MiB for an 8B"),
    OllamaVersion((0, 2, 0), 2048, False, 4, "0.3 log: four slots of 2048, 8192 cells"),
    OllamaVersion((0, 6, 0), 4096, False, 4, "documented default context 4096"),
    OllamaVersion((0, 11, 0), 4096, True, 1, "new engine: one slot, flash attention by model"),
    OllamaVersion((0, 15, 5), None, True, 1, "documented: 4k, 32k or 256k by GPU memory"),
)
_BEFORE_LATENT = ("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM")  # in Ollama's library
_TIERS = ((48 * GIB, 262144), (24 * GIB, 32768), (0, 4096))


def facts_for(version: str | None) -> OllamaVersion:
    """The facts of a version; None is ``DEFAULT_VERSION``."""
    return row_for(VERSIONS, parse_version(version or DEFAULT_VERSION))


def default_context(
    facts: OllamaVersion, architecture: Architecture, inventory: Inventory | None
) -> int:
    """The context Ollama opens by default, at most the trained context."""
    tokens = facts.context_tokens
    if tokens is None:
        gpus = inventory.gpus if inventory else ()
        memory = sum(gpu.memory_bytes or 0 for gpu in gpus)
        tokens = next(size for least, size in _TIERS if memory >= least)
    return min(tokens, architecture.context_tokens or tokens)


def with_defaults(
    workload: Workload,
    architecture: Architecture,
    inventory: Inventory | None,
    facts: OllamaVersion,
) -> Workload:
    """The llama.cpp workload that Ollama runs. Raises NotDeployableError for two cache types."""
    context_option = whole(workload, "num-ctx", "ollama-context-length")
    context = workload.context_tokens or context_option
    slots = whole(workload, "ollama-num-parallel")
    flash = workload.flash_attention or ("auto" if facts.flash_attention else "off")
    keys = workload.kv_cache_k or workload.parameter("ollama-kv-cache-type")
    values = workload.kv_cache_v or keys
    if keys != values:
        raise NotDeployableError(
            f"Ollama keeps keys and values in one type, not in {keys or 'f16'} and {values}",
            hint=f"--kv-cache {keys or values}",
        )
    return replace(
        workload,
        context_tokens=context or default_context(facts, architecture, inventory),
        parallel=workload.parallel or slots or facts.parallel,
        flash_attention=flash,
        kv_cache_k=keys,
        kv_cache_v=values,
        ubatch=workload.ubatch or 512,
        backend_version=None,
    )


def estimate(
    shape: ModelShape,
    workload: Workload,
    inventory: Inventory | None,
    *,
    version: str | None = None,
) -> Estimate:
    """llama.cpp's estimate with Ollama's defaults; the same errors."""
    chosen = version or workload.backend_version or DEFAULT_VERSION
    facts = facts_for(chosen)
    served = with_defaults(workload, shape.architecture, inventory, facts)
    result = llamacpp.estimate(shape, served, inventory, version=None)
    older = _full_cache_note(shape, result)
    assumption = f"Ollama {chosen}: {served.context_tokens:,} tokens x {served.parallel} slots"
    return replace(
        result,
        backend=NAME,
        backend_version=chosen,
        margin_bytes=0,
        warnings=(*result.warnings, *older),
        assumptions=(
            *result.assumptions,
            assumption,
            *unknown_note("Ollama", chosen, OLDEST_VERSION, DEFAULT_VERSION),
        ),
    )


def _full_cache_note(shape: ModelShape, found: Estimate) -> tuple[str, ...]:
    """Files from before llama.cpp had latent caches (2025-04) have one row per head instead.

    Ollama's own library has such files (deepseek-coder-v2:16b: 270 KiB a token for 30).
    """
    architecture, latent = shape.architecture, shape.architecture.latent
    listed = set(architecture.checkpoint.classes) & set(_BEFORE_LATENT)
    if latent is None or not listed:  # a GGUF file's header names no class
        return ()
    row = latent.kv_lora_rank + latent.rope_length
    width = (latent.nope_length or 0) + latent.rope_length + (latent.value_length or 0)
    heads = max((layer.heads for layer in architecture.layers), default=0)
    full = found.parts.kv_cache_bytes * heads * width // row
    return (
        "a file converted before April 2025, as in Ollama's library, caches every head: "
        f"{format_bytes(full)} instead of {format_bytes(found.parts.kv_cache_bytes)}",
    )
