"""float32 values per token that one block of llama.cpp's graph keeps alive at its peak.

Derived from the graphs in src/models/*.cpp at b11549 and the engine's own dry runs: the allocator
reuses the memory of dead tensors, so sizes are those of tensors alive together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.architecture import Architecture, Attention, Layer, RecurrentState
from modelscan.engines.llamacpp import cache
from modelscan.memory.architecture import gguf_rules as rules

if TYPE_CHECKING:
    from modelscan.engines.llamacpp.graph import Block, Graph
    from modelscan.engines.llamacpp.settings import Settings

ROTATED = 64  # head sizes that are a multiple of it are rotated before they are quantised


def live_values(
    block: Block, architecture: Architecture, settings: Settings, graph: Graph, sliding: bool
) -> int:
    """float32 values per token alive at the widest moment of this block."""
    hidden = architecture.hidden
    base = base_values(block, architecture, settings, graph)
    quantised = rotates(block.layer, settings)
    parallel = block.parallel and block.layer.kv_heads > 0
    return deepstack_values(block, architecture, settings) + max(
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
        altup_values(block, architecture),
    )  # fmt: skip


def base_values(block: Block, architecture: Architecture, settings: Settings, graph: Graph) -> int:
    """Alive during every operation of the block."""
    base = graph.residual * architecture.hidden
    query = block.layer.heads * block.layer.key_length
    if not graph.waiting_queries or (settings.type_k.block > 1 and settings.flash_attention):
        return base
    joined = block.has("attn_qkv") or block.rows("attn_q") == 2 * query
    if joined or not (graph.all_rows or cache.reads_cache(architecture)):
        return base
    return base + (query if block.layer.moe else min(query, architecture.hidden))


def rotates(layer: Layer, settings: Settings) -> bool:
    """Keys are rotated before they are quantised, and queries with them."""
    return settings.type_k.block > 1 and layer.key_length % ROTATED == 0


def feed_forward_values(block: Block, architecture: Architecture) -> int:
    """Values per token of a dense feed-forward: its inner width, three times if gated."""
    width = block.width("ffn_down")
    gated = block.has("ffn_gate") or block.rows("ffn_up") == 2 * width
    return (3 if gated else 1) * width + per_layer_values(architecture)


def per_layer_values(architecture: Architecture) -> int:
    """Per-layer embeddings (Gemma E models) stay alive through the whole graph."""
    n = architecture.extra.get("per_layer_embedding")
    return n * len(architecture.layers) + 2 * n if isinstance(n, int) else 0


def expert_values(block: Block, architecture: Architecture) -> int:
    """Values per token of the active experts; 0 in a block without experts."""
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
    """A shared expert runs with the routed experts' result; one with its own gate after it."""
    width = block.width("ffn_down_shexp")
    if not width:
        return 0
    return 3 * width + (0 if "ffn_gate_inp_shexp.weight" in block.tensors else hidden)


def attention_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Scores of all heads over the cache; with flash attention they never exist, but a cache in
    float32 is copied to float16 first.
    """
    layer = block.layer
    if layer.attention is Attention.MLA or not layer.kv_heads:
        return 0
    if settings.flash_attention:
        copies = _cache_copies(layer, architecture, settings)
        return copies + _query_values(block, architecture, settings) if copies else 0
    if not cache.reads_cache(architecture):
        copies = 4 if block.has("attn_qkv") else 2
        return layer.heads * (settings.graph_tokens + copies * layer.key_length)
    values = layer.heads * cache.cells(layer, settings)
    values += _query_values(block, architecture, settings)
    n = per_layer_values(architecture)
    if n:
        values += n + architecture.hidden
    return values + (architecture.hidden if n or block.two_feeds else 0)


def _cache_copies(layer: Layer, architecture: Architecture, settings: Settings) -> int:
    """``build_attn_mha`` casts float32 keys and values, as float32 values per token."""
    if not cache.reads_cache(architecture):
        return 0
    width = sum(
        layer.kv_heads * length
        for kind, length in (
            (settings.type_k, layer.key_length),
            (settings.type_v, layer.value_length),
        )
        if kind.name == "F32"
    )
    copied = cache.cells(layer, settings) * settings.streams * width // 2
    return -(-copied // settings.graph_tokens)


def _query_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Queries alive with the scores: copied by rotation, by gating and when wider than hidden."""
    layer = block.layer
    query = layer.heads * layer.key_length
    quantised = settings.type_k.block > 1
    rotated = rotates(layer, settings)
    if block.has("attn_qkv") and architecture.name in rules.NO_ROPE:
        return 0 if rotated else block.rows("attn_qkv")  # queries, keys and values are views of it
    normed_later = block.has("post_attention_norm") and not block.has("attn_norm")
    if block.has("attn_qkv") or normed_later or block.parallel or layer.state:
        return 0
    wide = query > architecture.hidden
    if block.rows("attn_q") == 2 * query:
        return query * (2 + wide + quantised)
    if architecture.name in rules.NO_ROPE:
        return query * (wide + quantised)
    rotated = rotated and not rules.NO_ROPE_INTERVAL.get(architecture.name)
    return query * (1 + wide - rotated)


def latent_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Values per token of MLA's projections and attention; 0 for other attention."""
    latent = architecture.latent
    if latent is None or block.layer.attention is not Attention.MLA:
        return 0
    key = (latent.nope_length or 0) + latent.rope_length
    wide_rope = block.layer.heads * latent.rope_length > architecture.hidden
    ropes = 2 if settings.flash_attention or wide_rope else 1
    wide = key + 2 * latent.kv_lora_rank + ropes * latent.rope_length
    cells = cache.cells(block.layer, settings)
    values = block.layer.heads * wide
    if not settings.flash_attention:
        values += block.layer.heads * cells
    top = architecture.extra.get("indexer_top_k")
    if isinstance(top, int):  # sparse attention: every layer's choice, a mask, the scores
        values += len(architecture.layers) * top + cells // 2
        room = block.layer.heads * latent.kv_lora_rank
        if settings.flash_attention and 2 * cells > room:
            values += max(cells, room)
    return values


def state_values(block: Block, settings: Settings) -> int:
    """A Mamba-2 mixer: both streams, the convolution's three copies, and every slot's state."""
    state = block.layer.state
    if state and block.has("attn_qkv") and state.conv_kernel == 1:
        return lightning_values(state, settings)
    if state is None or not block.has("ssm_in"):
        return 0
    convolution = state.inner + 2 * state.groups * state.state
    values = 2 * state.inner + 3 * convolution + (state.heads or 0)
    state_size = state.inner * state.state + 2 * (state.conv_kernel - 1) * convolution
    return values + settings.parallel * state_size // settings.graph_tokens


def lightning_values(state: RecurrentState, settings: Settings) -> int:
    """Lightning attention (MiniMax-01): five streams, the decay between the tokens of a slot three
    times, once of it as an input, and the states of several slots.
    """
    heads = state.heads or 0
    decay = heads * (settings.graph_tokens // settings.parallel + 1)
    slot_states = state.inner * state.state * settings.parallel if settings.parallel > 1 else 0
    return 5 * state.inner + 3 * decay - heads + slot_states // settings.graph_tokens


def altup_values(block: Block, architecture: Architecture) -> int:
    """Gemma 3n runs several streams: alive during the feed-forward, or being mixed."""
    streams = block.width("altup_correct_coef")
    n = architecture.extra.get("per_layer_embedding")
    if not streams or not isinstance(n, int):
        return 0
    hidden = architecture.hidden
    feeding = 5 * hidden + feed_forward_values(block, architecture) + (streams + 1) * hidden + n
    mixing = 6 * streams * hidden + streams * n + per_layer_values(architecture)
    return max(feeding, mixing)


def wkv_values(block: Block, hidden: int) -> int:
    """RWKV: six interpolated inputs and the streams made from them."""
    return 15 * hidden if block.has("time_mix_key") else 0


def deepstack_values(block: Block, architecture: Architecture, settings: Settings) -> int:
    """Vision models that feed image features into several layers carry them next to the input.

    In what the input leaves free lie two of the tensors of a feed-forward that are no wider.
    """
    levels, hidden = _deepstack(architecture), architecture.hidden
    if levels < 2:
        return 3 * levels * hidden
    if not settings.flash_attention:
        return (5 * levels + 1) * hidden
    width, experts = block.width("ffn_down"), architecture.experts
    fits = 2 * width
    if not width and experts:
        fits = width = experts.active * block.width("ffn_down_exps")
    return (5 * levels + 2) * hidden - (fits if width <= (levels + 1) * hidden else 0)


def _deepstack(architecture: Architecture) -> int:
    levels = architecture.extra.get("deepstack")
    return levels if isinstance(levels, int) else 0


def deepstack_during_logits(architecture: Architecture) -> int:
    """What is alive of them together with the logits."""
    levels = _deepstack(architecture)
    return (5 * levels + 2 if levels > 1 else levels) * architecture.hidden
