"""llama.cpp's caches: key-value cells per layer and recurrent state per slot.

Source: src/llama-kv-cache.cpp, llama-kv-cache-iswa.cpp, llama-memory-recurrent.cpp at b11549;
every formula checked against the engine's own dry run (benchmarks/bench_memory.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention, Layer
from modelscan.engines.llamacpp.settings import Settings, pad
from modelscan.memory.architecture.gguf_rules import NO_CACHE, UNREAD_CACHE

if TYPE_CHECKING:
    from modelscan.formats.gguf_types import GgmlType

SLIDING = (Attention.SLIDING, Attention.CHUNKED)


def cells(layer: Layer, settings: Settings) -> int:
    """Cells of one stream in the cache this layer belongs to."""
    if layer.attention not in SLIDING or layer.window_tokens is None or settings.swa_full:
        return settings.sequence_tokens
    shared = settings.parallel if settings.unified else 1
    reach = layer.window_tokens * shared + settings.ubatch
    return pad(min(settings.sequence_tokens, reach))


def value_width(layer: Layer, architecture: Architecture, settings: Settings) -> int:
    """Values of V per token: as wide as the widest layer without flash attention."""
    if layer.attention is Attention.MLA:
        return 0
    if settings.flash_attention:
        return layer.kv_heads * layer.value_length
    return max((other.kv_heads * other.value_length for other in architecture.layers), default=0)


def row_bytes(kind: GgmlType, values: int) -> int:
    """Bytes of a row of ``values`` elements of a GGML type."""
    return values // kind.block * kind.size_bytes


def layer_bytes_per_cell(layer: Layer, architecture: Architecture, settings: Settings) -> int:
    """K and V of one token in one layer; 0 where the layer owns no cache."""
    if not layer.owns_cache and not _padded(layer, architecture, settings):
        return 0
    if layer.attention is Attention.MLA and architecture.latent:
        width = architecture.latent.kv_lora_rank + architecture.latent.rope_length
        return row_bytes(settings.type_k, width)
    keys = row_bytes(settings.type_k, layer.kv_heads * layer.key_length)
    return keys + row_bytes(settings.type_v, value_width(layer, architecture, settings))


def _padded(layer: Layer, architecture: Architecture, settings: Settings) -> bool:
    """A plain cache without flash attention pads V of layers that do not attend as well (Deci)."""
    if settings.flash_attention or layer.attention is not Attention.NONE:
        return False
    return not any(other.state for other in architecture.layers)


def has_cache(architecture: Architecture) -> bool:
    """False for encoders and diffusion models: they keep nothing between batches."""
    return architecture.name not in NO_CACHE


def reads_cache(architecture: Architecture) -> bool:
    """False where the graph attends within one batch only."""
    return has_cache(architecture) and architecture.name not in UNREAD_CACHE


def indexer_bytes(layer: Layer, architecture: Architecture, settings: Settings) -> int:
    """The key row of a sparse-attention indexer (one head, keys only)."""
    length = architecture.extra.get("indexer_key_length")
    if layer.attention is not Attention.MLA or not isinstance(length, int):
        return 0
    return row_bytes(settings.type_k, length)


def layer_bytes(layer: Layer, architecture: Architecture, settings: Settings) -> int:
    """KV bytes of one layer over all cells and streams."""
    if not has_cache(architecture):
        return 0
    per_cell = layer_bytes_per_cell(layer, architecture, settings)
    per_cell += indexer_bytes(layer, architecture, settings) if layer.owns_cache else 0
    return per_cell * cells(layer, settings) * settings.streams


def state_bytes(layer: Layer, settings: Settings) -> int:
    """Recurrent state of one layer: always float32, one row per slot and copy."""
    state = layer.state
    if state is None:
        return 0
    convolution = (state.conv_kernel - 1) * (state.inner + 2 * state.groups * state.state)
    return 4 * (convolution + state.inner * state.state) * settings.parallel * settings.state_copies


def bytes_per_token(architecture: Architecture, settings: Settings) -> int:
    """Growth per token of context: layers that see everything (their own cells only)."""
    growing = [
        (layer, count) for layer, count in architecture.layer_counts
        if layer.attention not in SLIDING or settings.swa_full
    ]  # fmt: skip
    if not has_cache(architecture):
        return 0
    return sum(
        count
        * (
            layer_bytes_per_cell(layer, architecture, settings)
            + (indexer_bytes(layer, architecture, settings) if layer.owns_cache else 0)
        )
        for layer, count in growing
    )
