"""What torch's caching allocator adds to large tensors: memory in steps of 2 MiB.

Code: c10/cuda/CUDACachingAllocator.cpp. A tensor of 10 MiB or more gets a segment of its own,
rounded up to 2 MiB; a rest above 1 MiB is split off for other tensors, a smaller one stays with it
and counts as allocated. Qwen2.5-7B (28 layers; 259, 129.5 and 31.5 MiB): 14.25 GiB in vLLM's logs
where the tensors have 14.19.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelscan.core.architecture import Architecture, Attention, Layer
from modelscan.core.units import MIB

_STEP, _SPLIT, _LARGE = 2 * MIB, MIB, 10 * MIB
_ONE_BYTE = ("FP8", "INT8", "W8A8")
_ATTENDING = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED)


def gaps_bytes(architecture: Architecture, counts: Sequence[tuple[Layer, int]], tensor: int) -> int:
    """Bytes that one GPU of ``tensor`` allocates beyond its linear layers; 0 for packed weights."""
    size = _bytes_per_weight(architecture)
    if not size:
        return 0
    return sum(
        n * sum(gap(values * size) for values in _matrices(architecture, layer, tensor))
        for layer, n in counts
    )


def gap(size_bytes: int) -> int:
    """The part of a segment that stays with a tensor of ``size_bytes``."""
    rest = -size_bytes % _STEP
    return rest if size_bytes >= _LARGE and rest <= _SPLIT else 0


def _bytes_per_weight(architecture: Architecture) -> int:
    name = architecture.quantization
    if name is None:
        return 2
    return 1 if name.upper().startswith(_ONE_BYTE) else 0


def _matrices(architecture: Architecture, layer: Layer, tensor: int) -> Iterator[int]:
    """Values of the matrices as engines fuse them: QKV, output, gate and up, down."""
    hidden = architecture.hidden
    if layer.attention in _ATTENDING and layer.heads:
        heads, kv_heads = layer.heads // tensor, max(1, layer.kv_heads // tensor)
        keys = kv_heads * (layer.key_length + layer.value_length)
        yield hidden * (heads * layer.key_length + keys)
        yield hidden * heads * layer.value_length
    if layer.feed_forward:
        width = layer.feed_forward // tensor
        yield hidden * width * (2 if architecture.gated_feed_forward else 1)
        yield hidden * width
