"""llama.cpp's compute buffer: the reserved graph's inputs and its largest live set.

The graph is laid out by ggml's allocator, which reuses memory as tensors die; what remains is
its inputs (masks, indices, positions) plus the widest moment of one block, or the logits. The
widths below were found from the graphs in src/models/*.cpp at b11549 and agree with the engine's
dry run (benchmarks/bench_memory.py); they belong to that version (``Graph``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.core.architecture import Architecture, Attention, Layer, Tensor
from modelscan.memory import llamacpp_cache as cache
from modelscan.memory.llamacpp_settings import Settings

F32 = 4


@dataclass(frozen=True, slots=True)
class Graph:
    """Constants of one version's graph. ``residual``: hidden-wide tensors alive beside the widest
    operation; ``all_rows``: True where n_ubatch rows of logits are reserved for chat as well.
    """

    residual: int = 5
    all_rows: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """What of one block's tensors decides its live set, per token in float32 values."""

    layer: Layer
    tensors: Mapping[str, Tensor]

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self.tensors

    def rows(self, name: str) -> int:
        """Output width of a matrix (0 when absent)."""
        tensor = self.tensors.get(f"{name}.weight")
        return tensor.shape[1] if tensor and len(tensor.shape) > 1 else 0

    def width(self, name: str) -> int:
        """Input width of a matrix (0 when absent)."""
        tensor = self.tensors.get(f"{name}.weight")
        return tensor.shape[0] if tensor and tensor.shape else 0


def compute_bytes(
    architecture: Architecture, blocks: list[Block], settings: Settings, graph: Graph
) -> int:
    """Bytes of the compute buffer on one device, as ``sched_reserve`` logs it."""
    tokens = settings.graph_tokens
    hidden = architecture.hidden
    live = max((live_values(block, architecture, settings, graph) for block in blocks), default=0)
    rows = output_rows(architecture, settings, graph)
    logits = rows * architecture.vocabulary + tokens * graph.residual * hidden
    return input_bytes(architecture, settings) + F32 * max(tokens * live, logits)


def output_rows(architecture: Architecture, settings: Settings, graph: Graph) -> int:
    """Rows of logits reserved: one per slot for chat, all tokens for a decoder's embeddings."""
    if not cache.has_cache(architecture):
        return 0
    every = settings.embedding or graph.all_rows
    return settings.graph_tokens if every else settings.parallel


def input_bytes(architecture: Architecture, settings: Settings) -> int:
    """Masks, indices, positions and rotation matrices: what the host writes per batch."""
    tokens = settings.graph_tokens
    element = 2 if settings.flash_attention else 4
    if not cache.has_cache(architecture):
        return tokens * tokens * element + tokens * 12
    total = 0
    attending = [layer for layer in architecture.layers if layer.kv_heads]
    kinds = {layer.attention in cache.SLIDING for layer in attending}
    widest = max((layer.kv_heads * layer.value_length for layer in attending), default=0)
    for sliding in kinds:
        group = [layer for layer in attending if (layer.attention in cache.SLIDING) == sliding]
        total += cache.cells(group[0], settings) * tokens * element
        if not settings.flash_attention and group[0].attention is not Attention.MLA:
            total += tokens * widest * 8
    positions = 16 if architecture.extra.get("m_rope") else 4
    total += tokens * (4 + positions + 16 * len(kinds))
    return total + len(kinds) * rotation_bytes(architecture, settings)


def rotation_bytes(architecture: Architecture, settings: Settings) -> int:
    """Hadamard matrices that spread outliers before K and V are quantised, of one cache."""
    sizes = {layer.key_length for layer in architecture.layers if layer.kv_heads}
    total = 0
    for size in sizes if len(sizes) == 1 else ():
        if size % 64:
            continue
        if settings.type_k.block > 1:
            side = max(n for n in (64, 128, 256, 512) if size % n == 0)
            total += F32 * side * side
        if settings.type_v.block > 1 and architecture.latent is None:
            total += F32 * 64 * 64
    return total


def live_values(block: Block, architecture: Architecture, settings: Settings, graph: Graph) -> int:
    """float32 values per token alive at the widest moment of this block."""
    base = graph.residual * architecture.hidden
    return max(
        base + feed_forward_values(block, architecture),
        base + expert_values(block, architecture),
        architecture.hidden + base + 3 * block.width("ffn_down_shexp"),
        base + attention_values(block, architecture, settings),
        base + latent_values(block, architecture, settings),
        base + state_values(block, settings),
    )


def feed_forward_values(block: Block, architecture: Architecture) -> int:
    width = block.width("ffn_down")
    gated = block.has("ffn_gate") or block.rows("ffn_up") == 2 * width
    values = (3 if gated else 1) * width
    n = architecture.extra.get("per_layer_embedding")
    if isinstance(n, int):
        values += n * len(architecture.layers) + 2 * n
    return values


def expert_values(block: Block, architecture: Architecture) -> int:
    width, experts = block.width("ffn_down_exps"), architecture.experts
    if not width or experts is None:
        return 0
    hidden, used = architecture.hidden, experts.active
    gated = block.has("ffn_gate_exps") or block.has("ffn_gate_up_exps")
    values = (3 if gated else 1) * used * width
    if hidden > 2 * width or not gated:
        values += used * hidden
    return values


def attention_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Scores of all heads over the cache; with flash attention they never exist."""
    layer = block.layer
    if settings.flash_attention or layer.attention is Attention.MLA or not layer.kv_heads:
        return 0
    cells = cache.cells(layer, settings)
    if not cache.has_cache(architecture):
        cells = settings.graph_tokens
    return layer.heads * cells + _query_values(block, architecture, settings)


def _query_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    layer = block.layer
    query = layer.heads * layer.key_length
    fused = block.has("attn_qkv")
    post_norm = not block.has("attn_norm")
    one_norm = block.has("attn_norm") and not any(
        block.has(name) for name in ("ffn_norm", "post_attention_norm")
    )
    if fused or post_norm or one_norm or layer.state is not None:
        return 0
    gated = block.rows("attn_q") == 2 * query
    values = 3 * query if gated else 2 * query if query > architecture.hidden else query
    if settings.type_k.block > 1:
        values += query if gated else -query
    return values


def latent_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    latent = architecture.latent
    if latent is None or block.layer.attention is not Attention.MLA:
        return 0
    key = (latent.nope_length or 0) + latent.rope_length
    ropes = 2 if settings.flash_attention else 1
    wide = key + 2 * latent.kv_lora_rank + ropes * latent.rope_length
    values = block.layer.heads * wide
    if not settings.flash_attention:
        values += block.layer.heads * cache.cells(block.layer, settings)
    return values


def state_values(block: Block, settings: Settings) -> int:
    state = block.layer.state
    if state is None or not block.has("ssm_in"):
        return 0
    convolution = state.inner + 2 * state.groups * state.state
    values = 2 * state.inner + 3 * convolution + (state.heads or 0)
    if settings.parallel > 1:
        values += settings.parallel * state.inner * state.state // settings.graph_tokens
    return values
