"""All tensors of an architecture by GGUF name and shape, to count parameters and project files.

Shapes are in GGML order: (input, output[, experts]). The main matrices follow from the
architecture's sizes; small ones (norms, biases) from the family's layout.
"""

from __future__ import annotations

from collections.abc import Iterator

from modelscan.core.architecture import Architecture, Attention, Experts, Layer, RecurrentState
from modelscan.memory.architecture.tensor_layout import TensorLayout, tensor_layout

NamedShape = tuple[str, tuple[int, ...]]


def tensor_table(architecture: Architecture, *, mtp: bool = False) -> list[NamedShape]:
    """(name, shape) of all tensors of the trunk; with ``mtp`` also of the prediction blocks."""
    style = tensor_layout(architecture.name)
    table = list(_ends(architecture, style))
    for index, layer in enumerate(architecture.layers):
        table += _block(f"blk.{index}.", layer, architecture, style)
    if mtp and architecture.mtp_layers and architecture.layers:
        table += _mtp(architecture, style)
    return [(name, shape) for name, shape in table if all(shape)]


def _ends(architecture: Architecture, style: TensorLayout) -> Iterator[NamedShape]:
    hidden, extra = architecture.hidden, architecture.extra
    yield "token_embd.weight", (hidden, architecture.vocabulary)
    if not architecture.tied_embeddings and not architecture.encoder_only:
        yield "output.weight", (hidden, architecture.vocabulary)
    if architecture.encoder_only:
        yield "position_embd.weight", (hidden, int(extra.get("positions", 0)))
        yield "token_types.weight", (hidden, int(extra.get("token_types", 0)))
        yield "token_embd_norm.weight", (hidden,)
        return
    yield "output_norm.weight", (hidden,)
    each = int(extra.get("per_layer_embedding", 0))
    if each:
        width = each * len(architecture.layers)
        rows = int(extra.get("per_layer_vocabulary", 0)) or architecture.vocabulary
        yield "per_layer_token_embd.weight", (width, rows)
        yield "per_layer_model_proj.weight", (hidden, width)
        yield "per_layer_proj_norm.weight", (each,)


def _block(
    p: str, layer: Layer, architecture: Architecture, style: TensorLayout
) -> Iterator[NamedShape]:
    hidden = architecture.hidden
    one_mixer = layer.attention is Attention.NONE or (
        not layer.feed_forward and not layer.moe
    )  # fmt: skip
    for norm in style.norms[:1] if one_mixer and style.norms[0] == "attn_norm" else style.norms:
        yield f"{p}{norm}.weight", (hidden,)
    if architecture.latent and (layer.attention is Attention.MLA or layer.kv_heads):
        yield from _latent(p, layer, architecture)
    elif layer.kv_heads:
        yield from _attention(p, layer, architecture, style)
    if layer.state:
        yield from _recurrent(p, layer, layer.state, architecture)
    if layer.moe and architecture.experts:
        yield from _experts(p, architecture, architecture.experts)
        if style.expert_bias:
            yield from _expert_biases(p, hidden, architecture.experts)
    if layer.feed_forward:
        yield from _dense(p, layer, architecture, style)
    each = int(architecture.extra.get("per_layer_embedding", 0))
    if each:
        yield f"{p}inp_gate.weight", (hidden, each)
        yield f"{p}proj.weight", (each, hidden)
        yield f"{p}post_norm.weight", (hidden,)


def _attention(
    p: str, layer: Layer, architecture: Architecture, style: TensorLayout
) -> Iterator[NamedShape]:
    hidden, extra = architecture.hidden, architecture.extra
    query, out = layer.heads * layer.key_length, layer.heads * layer.value_length
    keys, values = layer.kv_heads * layer.key_length, layer.kv_heads * layer.value_length
    if style.fused_qkv:
        yield f"{p}attn_qkv.weight", (hidden, query + keys + values)
    else:
        yield from _queries(p, hidden, query, architecture)
        shared = extra.get("cross_layer") and not layer.owns_cache  # its projections as well
        if not shared:
            yield f"{p}attn_k.weight", (hidden, keys)
        if not shared and not (extra.get("k_eq_v") and layer.attention is Attention.FULL):
            yield f"{p}attn_v.weight", (hidden, values)
    yield f"{p}attn_output.weight", (out, hidden)
    if style.qk_norm:
        yield f"{p}attn_q_norm.weight", (layer.key_length,)
        yield f"{p}attn_k_norm.weight", (layer.key_length,)
    if style.bias or extra.get("attention_bias"):
        for name, width in (("q", query), ("k", keys), ("v", values)):
            yield f"{p}attn_{name}.bias", (width,)


def _queries(p: str, hidden: int, width: int, architecture: Architecture) -> Iterator[NamedShape]:
    rank = int(architecture.extra.get("query_rank", 0))
    if rank:  # Step 3: queries through a low rank
        yield f"{p}attn_q_a.weight", (hidden, rank)
        yield f"{p}attn_q_b.weight", (rank, width)
        return
    gate = 2 if architecture.extra.get("attention_gate") else 1
    yield f"{p}attn_q.weight", (hidden, width * gate)


def _latent(p: str, layer: Layer, architecture: Architecture) -> Iterator[NamedShape]:
    latent, hidden = architecture.latent, architecture.hidden
    if latent is None:
        return
    nope, value = latent.nope_length or 128, latent.value_length or 128
    query = layer.heads * (nope + latent.rope_length)
    if latent.q_lora_rank:
        yield f"{p}attn_q_a.weight", (hidden, latent.q_lora_rank)
        yield f"{p}attn_q_a_norm.weight", (latent.q_lora_rank,)
        yield f"{p}attn_q_b.weight", (latent.q_lora_rank, query)
    else:
        yield f"{p}attn_q.weight", (hidden, query)
    yield f"{p}attn_kv_a_mqa.weight", (hidden, latent.kv_lora_rank + latent.rope_length)
    yield f"{p}attn_kv_a_norm.weight", (latent.kv_lora_rank,)
    yield f"{p}attn_k_b.weight", (nope, latent.kv_lora_rank, layer.heads)
    yield f"{p}attn_v_b.weight", (latent.kv_lora_rank, value, layer.heads)
    yield f"{p}attn_output.weight", (layer.heads * value, hidden)
    if architecture.extra.get("latent_gate"):
        yield f"{p}attn_gate.weight", (hidden, layer.heads * value)
    if not layer.borrows_index:
        yield from _indexer(p, architecture)


def _indexer(p: str, architecture: Architecture) -> Iterator[NamedShape]:
    """The indexer of DeepSeek's sparse attention, which scores tokens in each layer."""
    size, heads = (int(architecture.extra.get(k, 0)) for k in ("indexer_key_length",
                                                               "indexer_heads"))  # fmt: skip
    rank = architecture.latent.q_lora_rank if architecture.latent else None
    if size and heads:
        yield f"{p}indexer.attn_q_b.weight", (rank or architecture.hidden, heads * size)
        yield f"{p}indexer.attn_k.weight", (architecture.hidden, size)
        yield f"{p}indexer.proj.weight", (architecture.hidden, heads)


def _recurrent(
    p: str, layer: Layer, state: RecurrentState, architecture: Architecture
) -> Iterator[NamedShape]:
    hidden, inner = architecture.hidden, state.inner
    if not state.state:  # short convolution (LFM2)
        yield f"{p}shortconv.in_proj.weight", (hidden, 3 * inner)
        yield f"{p}shortconv.conv.weight", (state.conv_kernel, inner)
        yield f"{p}shortconv.out_proj.weight", (inner, hidden)
        return
    wide = inner + 2 * state.groups * state.state
    heads = state.heads or 0
    if layer.attention is Attention.LINEAR:
        yield from _linear(p, state, architecture, wide, heads)
        return
    if not heads:
        yield from _mamba1(p, state, hidden)
        return
    yield f"{p}ssm_in.weight", (hidden, inner + wide + heads)
    yield f"{p}ssm_conv1d.weight", (state.conv_kernel, wide)
    yield f"{p}ssm_conv1d.bias", (wide,)
    yield f"{p}ssm_dt.bias", (heads,)
    yield f"{p}ssm_a", (heads,)
    yield f"{p}ssm_d", (heads,)
    yield f"{p}ssm_norm.weight", (inner,)
    yield f"{p}ssm_out.weight", (inner, hidden)


def _linear(
    p: str, state: RecurrentState, architecture: Architecture, wide: int, heads: int
) -> Iterator[NamedShape]:
    hidden, inner = architecture.hidden, state.inner
    yield f"{p}attn_qkv.weight", (hidden, wide)
    yield f"{p}ssm_conv1d.weight", (state.conv_kernel, wide)
    yield f"{p}ssm_out.weight", (inner, hidden)
    yield f"{p}ssm_norm.weight", (state.state,)
    kda = state.conv_kernel > 1 and state.groups == heads and architecture.latent
    if kda:  # Kimi: a decay per channel, low rank
        rank = state.state
        yield f"{p}ssm_beta.weight", (hidden, heads)
        yield f"{p}ssm_f_a.weight", (hidden, rank)
        yield f"{p}ssm_f_b.weight", (rank, inner)
        if architecture.extra.get("full_rank_gate"):
            yield f"{p}ssm_g.weight", (hidden, inner)
        else:
            yield f"{p}ssm_g_a.weight", (hidden, rank)
            yield f"{p}ssm_g_b.weight", (rank, inner)
        return
    yield f"{p}attn_gate.weight", (hidden, inner)
    yield f"{p}ssm_ba.weight", (hidden, 2 * heads)
    yield f"{p}ssm_dt.bias", (heads,)
    yield f"{p}ssm_a", (heads,)


def _mamba1(p: str, state: RecurrentState, hidden: int) -> Iterator[NamedShape]:
    rank = -(-hidden // 16)
    yield f"{p}ssm_in.weight", (hidden, 2 * state.inner)
    yield f"{p}ssm_conv1d.weight", (state.conv_kernel, state.inner)
    yield f"{p}ssm_conv1d.bias", (state.inner,)
    yield f"{p}ssm_x.weight", (state.inner, rank + 2 * state.state)
    yield f"{p}ssm_dt.weight", (rank, state.inner)
    yield f"{p}ssm_dt.bias", (state.inner,)
    yield f"{p}ssm_a", (state.state, state.inner)
    yield f"{p}ssm_d", (state.inner,)
    yield f"{p}ssm_out.weight", (state.inner, hidden)


def _experts(p: str, architecture: Architecture, experts: Experts) -> Iterator[NamedShape]:
    hidden = architecture.hidden
    latent = int(architecture.extra.get("moe_latent", 0))
    inside = latent or hidden
    yield f"{p}ffn_gate_inp.weight", (hidden, experts.total)
    if latent:
        yield f"{p}ffn_latent_down.weight", (hidden, latent)
        yield f"{p}ffn_latent_up.weight", (latent, hidden)
    extra = architecture.extra
    second, narrow = int(extra.get("second_experts", 0)), int(extra.get("second_expert_width", 0))
    sets = (("", experts.total, experts.width), (".vision", second, narrow))
    for suffix, total, width in sets:  # a second modality may have its own experts
        if experts.gated:
            yield f"{p}ffn_gate_exps{suffix}.weight", (inside, width, total)
        yield f"{p}ffn_up_exps{suffix}.weight", (inside, width, total)
        yield f"{p}ffn_down_exps{suffix}.weight", (width, inside, total)
    if experts.shared_width:
        if experts.gated:
            yield f"{p}ffn_gate_shexp.weight", (hidden, experts.shared_width)
        yield f"{p}ffn_up_shexp.weight", (hidden, experts.shared_width)
        yield f"{p}ffn_down_shexp.weight", (experts.shared_width, hidden)


def _expert_biases(p: str, hidden: int, experts: Experts) -> Iterator[NamedShape]:
    yield f"{p}ffn_gate_inp.bias", (experts.total,)
    yield f"{p}ffn_gate_exps.bias", (experts.width, experts.total)
    yield f"{p}ffn_up_exps.bias", (experts.width, experts.total)
    yield f"{p}ffn_down_exps.bias", (hidden, experts.total)


def _dense(
    p: str, layer: Layer, architecture: Architecture, style: TensorLayout
) -> Iterator[NamedShape]:
    hidden, width = architecture.hidden, layer.feed_forward
    gated = architecture.gated_feed_forward
    if gated and not style.fused_up:
        yield f"{p}ffn_gate.weight", (hidden, width)
    yield f"{p}ffn_up.weight", (hidden, 2 * width if gated and style.fused_up else width)
    yield f"{p}ffn_down.weight", (width, hidden)
    if style.name == "bert":
        yield f"{p}ffn_up.bias", (width,)
        yield f"{p}ffn_down.bias", (hidden,)


def _mtp(architecture: Architecture, style: TensorLayout) -> Iterator[NamedShape]:
    """Prediction blocks: those of the last attending block, and a matrix for two hidden states."""
    hidden, count = architecture.hidden, len(architecture.layers)
    attending = [layer for layer in architecture.layers if layer.kv_heads]
    layer = attending[-1] if attending else architecture.layers[-1]
    experts = [layer for layer in architecture.layers if layer.moe]
    alone = not layer.moe and not layer.feed_forward and experts  # one mixer per block
    for index in range(count, count + architecture.mtp_layers):
        yield from _block(f"blk.{index}.", layer, architecture, style)
        if alone and architecture.experts:
            yield from _experts(f"blk.{index}.", architecture, architecture.experts)
        yield f"blk.{index}.nextn.eh_proj.weight", (2 * hidden, hidden)
        if architecture.extra.get("mtp_own_ends"):
            for name in ("embed_tokens", "shared_head_head"):
                yield f"blk.{index}.nextn.{name}.weight", (hidden, architecture.vocabulary)
