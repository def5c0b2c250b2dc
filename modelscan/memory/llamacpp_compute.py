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
from modelscan.memory.llamacpp_archs import NO_ROPE, NO_ROPE_INTERVAL
from modelscan.memory.llamacpp_settings import Settings

F32 = 4


@dataclass(frozen=True, slots=True)
class Graph:
    """Constants of one version's graph. ``residual``: hidden-wide tensors alive beside the widest
    operation, ``quantised_residual`` with a quantised cache and flash attention; ``all_rows``:
    n_ubatch rows of logits are reserved for chat as well, ``logits_residual`` hidden-wide tensors
    beside them and, unlike later, in the room of the inputs.
    """

    residual: int = 5
    quantised_residual: int = 5
    all_rows: bool = False
    logits_residual: int = 5

    def width(self, settings: Settings) -> int:
        quantised = settings.type_k.block > 1 and settings.flash_attention
        return self.quantised_residual if quantised else self.residual


@dataclass(frozen=True, slots=True)
class Block:
    """What of one block's tensors decides its live set, per token in float32 values."""

    layer: Layer
    tensors: Mapping[str, Tensor]

    def has(self, name: str) -> bool:
        return f"{name}.weight" in self.tensors or name in self.tensors

    @property
    def parallel(self) -> bool:
        """Attention and feed-forward side by side: one norm for both."""
        later = ("ffn_norm", "post_attention_norm", "attn_output_norm")
        feeds = self.has("ffn_down") or self.has("ffn_down_exps")
        return feeds and self.has("attn_norm") and not any(self.has(name) for name in later)

    @property
    def two_feeds(self) -> bool:
        """A dense feed-forward beside the experts, each with norms of its own (Gemma 4)."""
        return self.has("ffn_down") and self.has("ffn_down_exps")

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
    sliding = any(layer.attention in cache.SLIDING for layer in architecture.layers)
    live = max(
        (live_values(block, architecture, settings, graph, sliding) for block in _distinct(blocks)),
        default=0,
    )
    rows = output_rows(architecture, settings, graph)
    logits = rows * architecture.vocabulary + tokens * graph.logits_residual * hidden
    inputs = input_bytes(architecture, settings)
    if graph.all_rows:
        return max(inputs + F32 * tokens * live, F32 * logits)
    return inputs + F32 * max(tokens * live, logits)


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
    attending = [layer for layer in architecture.layers if layer.kv_heads]
    kinds = {layer.attention in cache.SLIDING for layer in attending}
    if not cache.has_cache(architecture):
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
    if not size or size % 64:
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


def live_values(
    block: Block, architecture: Architecture, settings: Settings, graph: Graph, sliding: bool
) -> int:
    """float32 values per token alive at the widest moment of this block."""
    hidden = architecture.hidden
    base = graph.width(settings) * hidden
    quantised = settings.type_k.block > 1
    parallel = block.parallel and block.layer.kv_heads > 0
    return deepstack_values(architecture) + max(
        base + feed_forward_values(block, architecture)
        + (hidden if parallel and (sliding or quantised or not block.has("ffn_gate")) else 0)
        + (hidden if not block.layer.kv_heads and not block.has("attn_norm") else 0),
        base + expert_values(block, architecture),
        base + shared_values(block, hidden),
        base + attention_values(block, architecture, settings)
        + (hidden if parallel and sliding == quantised else 0),
        5 * hidden + latent_values(block, architecture, settings),
        base + state_values(block, settings),
        base + wkv_values(block, hidden),
    )  # fmt: skip


def feed_forward_values(block: Block, architecture: Architecture) -> int:
    width = block.width("ffn_down")
    gated = block.has("ffn_gate") or block.rows("ffn_up") == 2 * width
    return (3 if gated else 1) * width + per_layer_values(architecture)


def per_layer_values(architecture: Architecture) -> int:
    """Per-layer embeddings (Gemma E models) stay alive through the whole graph."""
    n = architecture.extra.get("per_layer_embedding")
    return n * len(architecture.layers) + 2 * n if isinstance(n, int) else 0


def expert_values(block: Block, architecture: Architecture) -> int:
    width, experts = block.width("ffn_down_exps"), architecture.experts
    if not width or experts is None:
        return 0
    inside = block.rows("ffn_down_exps")  # the hidden size, or the experts' own (latent) one
    gated = block.has("ffn_gate_exps") or block.has("ffn_gate_up_exps")
    values = (3 if gated else 1) * experts.active * width
    if inside > 2 * width or not gated:
        values += experts.active * inside
    return values


def shared_values(block: Block, hidden: int) -> int:
    """A shared expert runs beside the routed ones' result; one with its own gate after it."""
    width = block.width("ffn_down_shexp")
    if not width:
        return 0
    return 3 * width + (0 if "ffn_gate_inp_shexp.weight" in block.tensors else hidden)


def attention_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Scores of all heads over the cache; with flash attention they never exist."""
    layer = block.layer
    if settings.flash_attention or layer.attention is Attention.MLA or not layer.kv_heads:
        return 0
    if not cache.has_cache(architecture):
        copies = 4 if block.has("attn_qkv") else 2
        return layer.heads * (settings.graph_tokens + copies * layer.key_length)
    values = layer.heads * cache.cells(layer, settings)
    values += _query_values(block, architecture, settings)
    n = per_layer_values(architecture)
    if n:
        values += n + architecture.hidden
    return values + (architecture.hidden if n or block.two_feeds else 0)


def _query_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Queries alive beside the scores: copied by rotation, by gating and when wider than hidden."""
    layer = block.layer
    query = layer.heads * layer.key_length
    if block.has("attn_qkv") or not block.has("attn_norm") or block.parallel or layer.state:
        return 0
    wide = query > architecture.hidden
    quantised = settings.type_k.block > 1
    if block.rows("attn_q") == 2 * query:
        return query * (2 + wide + quantised)
    if architecture.name in NO_ROPE:
        return query * (wide + quantised)
    rotated = quantised and not NO_ROPE_INTERVAL.get(architecture.name)
    return query * (1 + wide - rotated)


def latent_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    latent = architecture.latent
    if latent is None or block.layer.attention is not Attention.MLA:
        return 0
    key = (latent.nope_length or 0) + latent.rope_length
    ropes = 2 if settings.flash_attention else 1
    wide = key + 2 * latent.kv_lora_rank + ropes * latent.rope_length
    cells = cache.cells(block.layer, settings)
    values = block.layer.heads * wide
    if not settings.flash_attention:
        values += block.layer.heads * cells
    top = architecture.extra.get("indexer_top_k")
    if isinstance(top, int):  # sparse attention: the indexer's scores and the chosen rows
        values += (
            block.layer.heads * (top + key) + cells * (3 if settings.flash_attention else 1) // 2
        )
    return values


def state_values(block: Block, settings: Settings) -> int:
    """A Mamba-2 mixer: both streams, the convolution's three copies, and every slot's state."""
    state = block.layer.state
    if state is None or not block.has("ssm_in"):
        return 0
    convolution = state.inner + 2 * state.groups * state.state
    values = 2 * state.inner + 3 * convolution + (state.heads or 0)
    kept = state.inner * state.state + 2 * (state.conv_kernel - 1) * convolution
    return values + settings.parallel * kept // settings.graph_tokens


def wkv_values(block: Block, hidden: int) -> int:
    """RWKV: six interpolated inputs and the streams made from them."""
    return 15 * hidden if block.has("time_mix_key") else 0


def deepstack_values(architecture: Architecture) -> int:
    """Vision models that feed image features into several layers carry them beside the input."""
    levels = architecture.extra.get("deepstack")
    return 4 * levels * architecture.hidden if isinstance(levels, int) else 0
