"""llama.cpp's compute buffer: the reserved graph's inputs and its largest live set.

The graph is laid out by ggml's allocator, which reuses memory as tensors die; what remains is
its inputs (masks, indices, positions) plus the widest moment of one block, or the logits. The
widths (``activations``) were found from the graphs in src/models/*.cpp at b11549 and agree with
the engine's dry run (benchmarks/bench_memory.py); they belong to that version (``Graph``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention, Layer
from modelscan.engines.llamacpp import activations, cache
from modelscan.memory.architecture import gguf_rules as rules

if TYPE_CHECKING:
    from modelscan.engines.llamacpp.graph import Block, Graph
    from modelscan.engines.llamacpp.settings import Settings

F32 = 4


def compute_bytes(
    architecture: Architecture, blocks: list[Block], settings: Settings, graph: Graph
) -> int:
    """Bytes of the compute buffer on one device, as ``sched_reserve`` logs it."""
    tokens = settings.graph_tokens
    hidden = architecture.hidden
    sliding = any(layer.attention in cache.SLIDING for layer in architecture.layers)
    widest = max(
        (
            activations.live_values(block, architecture, settings, graph, sliding)
            for block in _distinct(blocks)
        ),
        default=0,
    )
    rows = output_rows(architecture, settings, graph)
    residual = graph.embedding_residual if settings.embedding else graph.logits_residual
    residuals = residual * hidden + activations.deepstack_during_logits(architecture)
    logits = rows * architecture.vocabulary + tokens * residuals
    inputs = input_bytes(architecture, settings)
    if graph.all_rows:
        first = first_moment(architecture, blocks, settings) if graph.copied_masks else 0
        return max(first, inputs + F32 * tokens * widest, F32 * logits)
    return inputs + F32 * max(tokens * widest, logits)


def first_moment(architecture: Architecture, blocks: list[Block], settings: Settings) -> int:
    """The first attention of a graph whose masks exist in float32 and in float16."""
    if not settings.flash_attention or not cache.reads_cache(architecture):
        return 0
    layers = {layer.attention: layer for layer in architecture.layers if layer.kv_heads}
    cells = sum(cache.cells(layer, settings) for layer in layers.values())
    widest = max(
        (0 if block.has("attn_qkv") else 2 * block.layer.heads * block.layer.key_length)
        for block in blocks
    )
    return settings.graph_tokens * (6 * cells + F32 * (3 * architecture.hidden + widest))


def output_rows(architecture: Architecture, settings: Settings, graph: Graph) -> int:
    """Rows of logits reserved: one per slot for chat, all tokens for a decoder's embeddings."""
    name = architecture.name
    if not cache.reads_cache(architecture) and name not in rules.DIFFUSION:
        return 0
    if settings.embedding and name in rules.LOGITS_OR_EMBEDDINGS:
        return 0
    every = settings.embedding or graph.all_rows
    return settings.graph_tokens if every else settings.parallel


def input_bytes(architecture: Architecture, settings: Settings) -> int:
    """Masks, indices, positions and rotation matrices: what the host writes per batch."""
    tokens = settings.graph_tokens
    element = 2 if settings.flash_attention else 4
    attending = [layer for layer, _ in architecture.layer_counts if layer.kv_heads]
    kinds = {layer.attention in cache.SLIDING for layer in attending}
    if not cache.reads_cache(architecture):
        return len(kinds) * tokens * tokens * element + tokens * 12
    total = 0
    widest = max((layer.kv_heads * layer.value_length for layer in attending), default=0)
    for sliding in kinds:
        group = [layer for layer in attending if (layer.attention in cache.SLIDING) == sliding]
        total += cache.cells(group[0], settings) * tokens * element
        if not settings.flash_attention and group[0].attention is not Attention.MLA:
            total += tokens * widest * 8
        total += rotation_bytes(group, settings, latent=architecture.latent is not None)
    positions = 16 if architecture.extra.get("m_rope") else 4
    total += tokens * (4 + positions + 16 * len(kinds))
    return total


def rotation_bytes(layers: list[Layer], settings: Settings, *, latent: bool) -> int:
    """Hadamard matrices that spread outliers before K and V of one cache are quantised.

    Only where all layers of that cache have one head size, a multiple of 64.
    """
    sizes = {layer.key_length for layer in layers}
    size = sizes.pop() if len(sizes) == 1 else 0
    if not size or size % activations.ROTATED:
        return 0
    total = 0
    if settings.type_k.block > 1:
        side = max(n for n in (64, 128, 256, 512) if size % n == 0)
        total += F32 * side * side
    if settings.type_v.block > 1 and not latent:
        total += F32 * 64 * 64
    return total


def _distinct(blocks: list[Block]) -> list[Block]:
    """One of each kind of block: models repeat a few of them many times."""
    seen: dict[object, Block] = {}
    for block in blocks:
        sizes = tuple((name, tensor.shape) for name, tensor in block.tensors.items())
        seen.setdefault((block.layer, sizes), block)
    return list(seen.values())
