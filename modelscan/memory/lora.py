"""Adapters' matrices that serving engines allocate at start, for every adapter of a batch.

Code: vLLM, lora/layers (``lora_a_stacked``, ``lora_b_stacked``); SGLang, lora/mem_pool.py (A and B
buffers). Linear attention and the output matrix are left out: they add less than a percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.architecture import Architecture, Layer
    from modelscan.memory.rank_weights import LayerCounts


def slots_bytes(
    architecture: Architecture,
    counts: LayerCounts,
    values_per_rank: int,
    tensor: int,
    *,
    experts: bool,
) -> int:
    """Bytes in 16 bits on one of ``tensor`` GPUs: rank x (inputs + outputs) of every projection.

    ``values_per_rank``: adapters in a batch x their largest rank. ``experts``: whether those of a
    sparse model are adapted too, each with matrices of its own.
    """
    width = 0
    for layer, n in counts:
        width += n * _attention(architecture, layer, tensor)
        width += n * _feed_forward(architecture, layer.feed_forward, tensor)
        if experts and layer.moe and architecture.experts:
            each = _feed_forward(architecture, architecture.experts.width, tensor)
            width += n * architecture.experts.total * each
    return values_per_rank * width * 2


def _attention(architecture: Architecture, layer: Layer, tensor: int) -> int:
    """Inputs are held in full, outputs are divided by tensor parallelism."""
    query = layer.heads * layer.key_length
    keys = layer.kv_heads * (layer.key_length + layer.value_length)
    hidden = architecture.hidden
    return 3 * hidden + (query + keys) // tensor + query // tensor + hidden


def _feed_forward(architecture: Architecture, width: int, tensor: int) -> int:
    if not width:
        return 0
    gates = 2 if architecture.gated_feed_forward else 1
    hidden = architecture.hidden
    return gates * (hidden + width // tensor) + width // tensor + hidden
