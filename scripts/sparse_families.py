"""Families of models, put together from ``sparse_pieces``: each builds one model whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scripts.sparse_pieces import (
    LAYER_EPSILON,
    Attn,
    Moe,
    Sketch,
    attend,
    base,
    delta_net,
    experts,
    feed,
    finish,
    heads,
    index_rows,
    latent,
    mamba2,
    norms,
    route,
    ssm,
)

PLAIN = ("attn_norm", "ffn_norm")
SANDWICH = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")


def decoder(name: str, arch: str, layers: int, hidden: int, a: Attn, ff: int, vocab: int, *,
            context: int = 131072, tied: bool = False, norm: Sequence[str] = PLAIN,
            moe: Moe | None = None, lead: int = 0, gated: bool = True, biased: bool = False,
            fused_up: bool = False, **keys: Any) -> Sketch:  # fmt: skip
    """A transformer whose layers are all alike but for ``lead`` dense ones before the experts."""
    sketch = base(name, arch, layers, hidden, ff, vocab, context, **keys)
    heads(sketch, a.heads, a.kv, a.size)
    if biased:
        sketch.keys[LAYER_EPSILON] = 1e-5
    if moe:
        experts(sketch, moe)
        if lead:
            sketch.keys["leading_dense_block_count"] = lead
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, norm, bias=biased)
        attend(sketch, p, hidden, a)
        if moe and i >= lead:
            route(sketch, p, hidden, moe)
        elif fused_up:
            feed(sketch, p, hidden, 2 * ff, gated=False)
            sketch.tensors[-1] = (f"{p}ffn_down.weight", (ff, hidden))
        else:
            feed(sketch, p, hidden, ff, gated=gated, bias=biased)
    return finish(sketch, hidden, vocab, tied=tied, bias=biased, normed=bool(norm))


def gemma4(name: str, layers: int, hidden: int, ff: int, n: int, kv: tuple[int, int], *,
           per_layer: int = 0, shared: int = 0, moe: Moe | None = None,
           window: int = 1024) -> Sketch:  # fmt: skip
    """Five sliding layers of head size 256, then a full one of 512."""
    pattern = [(i + 1) % 6 != 0 for i in range(layers)]
    if shared and layers == 42:
        pattern = [(i + 1) % 6 != 0 for i in range(layers)]
    sketch = base(name, "gemma4", layers, hidden, ff, 262144, 131072,
                  embedding_length_per_layer_input=per_layer,
                  attention__sliding_window=window,
                  attention__sliding_window_pattern=pattern,
                  attention__shared_kv_layers=shared)  # fmt: skip
    heads(sketch, n, [kv[0] if slides else kv[1] for slides in pattern], 512,
          attention__key_length_swa=256, attention__value_length_swa=256,
          rope__dimension_count=512, rope__dimension_count_swa=256)  # fmt: skip
    if moe:
        experts(sketch, moe)
    if per_layer:
        sketch.weight("per_layer_token_embd", per_layer * layers, 262144)
        sketch.weight("per_layer_model_proj", hidden, per_layer * layers)
        sketch.weight("per_layer_proj_norm", per_layer)
    sketch.weight("rope_freqs", 256)
    for i, slides in enumerate(pattern):
        p = f"blk.{i}."
        norms(sketch, p, hidden, SANDWICH)
        size = 256 if slides else 512
        own = i < layers - shared
        attend(sketch, p, hidden,
               Attn(n, kv[0] if slides else kv[1], size, norm="head", keys=own,
                    value=slides or not moe))  # fmt: skip
        sketch.weight(p + "layer_output_scale", 1)
        feed(sketch, p, hidden, ff)
        if moe:
            route(sketch, p, hidden, moe)
            sketch.plain(p + "ffn_gate_inp.scale", hidden)
            for extra in ("pre_ffw_norm_2", "post_ffw_norm_1", "post_ffw_norm_2"):
                sketch.weight(p + extra, hidden)
        if per_layer:
            sketch.weight(p + "inp_gate", hidden, per_layer)
            sketch.weight(p + "proj", per_layer, hidden)
            sketch.weight(p + "post_norm", hidden)
    return finish(sketch, hidden, 262144, tied=True)


def gemma3n(name: str, layers: int, ff: int) -> Sketch:
    """Four streams (AltUp), a low-rank branch (Laurel) and per-layer embeddings."""
    hidden, n, a = 2048, 256, Attn(8, 2, 256, norm="head")
    sketch = base(name, "gemma3n", layers, hidden, ff, 262144, 32768,
                  embedding_length_per_layer_input=n, attention__sliding_window=512)  # fmt: skip
    heads(sketch, a.heads, a.kv, a.size)
    for part in ("altup_proj", "altup_unembd_proj"):
        sketch.weight(part, hidden, hidden, 3)
    sketch.weight("per_layer_token_embd", n * layers, 262144)
    sketch.weight("per_layer_model_proj", hidden, n * layers)
    sketch.weight("per_layer_proj_norm", n)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, (*SANDWICH, "post_norm", "laurel_post_norm", "altup_router_norm"))
        attend(sketch, p, hidden, a)
        feed(sketch, p, hidden, ff)
        sketch.weight(p + "inp_gate", hidden, n)
        sketch.weight(p + "proj", n, hidden)
        sketch.weight(p + "altup_correct_coef", 4, 4)
        sketch.weight(p + "altup_correct_scale", hidden)
        sketch.weight(p + "altup_predict_coef", 4, 16)
        sketch.weight(p + "altup_router", hidden, 4)
        sketch.weight(p + "laurel_l", hidden, 64)
        sketch.weight(p + "laurel_r", 64, hidden)
    return finish(sketch, hidden, 262144, tied=True)


def minimax01(name: str, layers: int) -> Sketch:
    """Lightning attention, with softmax attention in every eighth layer."""
    hidden, a, moe = 6144, Attn(64, 8, 128), Moe(32, 2, 9216, gated=False)
    sketch = base(name, "minimax-01", layers, hidden, 9216, 200064, 1048576, residual_scale=0.2)
    heads(sketch, a.heads, a.kv, a.size, rope__dimension_count=64)
    experts(sketch, moe)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, PLAIN)
        if (i + 1) % 8 == 0:
            attend(sketch, p, hidden, a)
        else:
            inner = a.heads * a.size
            sketch.weight(p + "attn_qkv", hidden, 3 * inner)
            sketch.weight(p + "attn_gate", hidden, inner)
            sketch.weight(p + "attn_norm_2", inner)
            sketch.weight(p + "attn_output", inner, hidden)
        route(sketch, p, hidden, moe)
    return finish(sketch, hidden, 200064, tied=True)


def qwen_hybrid(name: str, arch: str, layers: int, hidden: int, a: Attn, ff: int, vocab: int,
                groups: int, rank: int, moe: Moe | None = None, *,
                tied: bool = False) -> Sketch:  # fmt: skip
    """Gated delta net, with full attention in every fourth layer."""
    sketch = base(name, arch, layers, hidden, ff, vocab, 262144, full_attention_interval=4)
    heads(sketch, a.heads, a.kv, a.size, rope__dimension_count=64)
    ssm(sketch, 4, rank * 128, 128, groups, rank)
    if arch != "qwen3next":
        sketch.keys["rope.dimension_sections"] = [11, 11, 10, 0]
    if moe:
        experts(sketch, moe, expert_shared_feed_forward_length=moe.shared)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, ("attn_norm", "post_attention_norm"))
        if (i + 1) % 4 == 0:
            attend(sketch, p, hidden, a)
        else:
            delta_net(sketch, p, hidden, joined=arch == "qwen3next")
        if moe:
            route(sketch, p, hidden, moe)
        else:
            feed(sketch, p, hidden, ff)
    return finish(sketch, hidden, vocab, tied=tied)


def deepseek(name: str, layers: int, hidden: int, count: int, ff: int, vocab: int, moe: Moe,
             lead: int, q_rank: int, nope: int = 128, rope: int = 64, value: int = 128,
             arch: str = "deepseek2", nextn: int = 0,
             indexer: tuple[int, int, int] | None = None) -> Sketch:  # fmt: skip
    """``indexer``: heads, head size and rows chosen of sparse attention."""
    sketch = base(name, arch, layers + nextn, hidden, ff, vocab, 163840,
                  attention__head_count=count, attention__head_count_kv=1,
                  attention__key_length=512 + rope, attention__value_length=512,
                  attention__key_length_mla=nope + rope, attention__value_length_mla=value,
                  attention__kv_lora_rank=512, rope__dimension_count=rope,
                  leading_dense_block_count=lead, expert_shared_count=moe.shared // moe.width,
                  expert_weights_scale=1.0)  # fmt: skip
    experts(sketch, moe)
    if q_rank:
        sketch.keys["attention.q_lora_rank"] = q_rank
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, PLAIN)
        latent(sketch, p, hidden, count, q_rank, 512, nope, rope, value)
        if indexer:
            index_rows(sketch, p, hidden, q_rank, *indexer)
        if i < lead:
            feed(sketch, p, hidden, ff)
        else:
            route(sketch, p, hidden, moe)
    return finish(sketch, hidden, vocab, tied=False)


def granite_hybrid(name: str, layers: int, hidden: int, ff: int, attending: Sequence[int], a: Attn,
                   rank: int, moe: Moe | None, state: int = 128) -> Sketch:  # fmt: skip
    kv = [a.kv if i in attending else 0 for i in range(layers)]
    sketch = base(name, "granitehybrid", layers, hidden, ff, 100352, 131072)
    heads(sketch, a.heads, kv, a.size)
    ssm(sketch, 4, 2 * hidden, state, 1, rank)
    if moe:
        experts(sketch, moe, expert_shared_feed_forward_length=moe.shared)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, PLAIN)
        if kv[i]:
            attend(sketch, p, hidden, a)
        else:
            mamba2(sketch, p, hidden)
        if moe:
            route(sketch, p, hidden, moe)
        else:
            feed(sketch, p, hidden, ff)
    return finish(sketch, hidden, 100352, tied=True)


def nemotron_h(name: str, pattern: str, hidden: int, ff: int, a: Attn, inner: int, rank: int,
               moe: Moe | None = None) -> Sketch:  # fmt: skip
    """M: Mamba-2, *: attention, -: feed-forward, E: experts; one per block."""
    wide = moe.width if moe else ff
    sketch = base(name, "nemotron_h_moe" if moe else "nemotron_h", len(pattern), hidden,
                  [wide if c in "-E" else 0 for c in pattern], 131072, 131072)  # fmt: skip
    heads(sketch, a.heads, [a.kv if c == "*" else 0 for c in pattern], a.size)
    ssm(sketch, 4, inner, 128, 8, rank)
    if moe:
        experts(sketch, moe, expert_shared_feed_forward_length=moe.shared, expert_shared_count=1,
                expert_weights_scale=1.0, expert_weights_norm=True)  # fmt: skip
        if moe.latent:
            sketch.keys["moe_latent_size"] = moe.latent
    for i, kind in enumerate(pattern):
        p = f"blk.{i}."
        norms(sketch, p, hidden, ("attn_norm",))
        if kind == "M":
            mamba2(sketch, p, hidden)
        elif kind == "*":
            attend(sketch, p, hidden, a)
        elif moe:
            route(sketch, p, hidden, moe)
        else:
            feed(sketch, p, hidden, ff, gated=False)
    return finish(sketch, hidden, 131072, tied=False)


def falcon_h1(name: str, layers: int, hidden: int, ff: int, a: Attn, inner: int, state: int,
              rank: int, vocab: int) -> Sketch:  # fmt: skip
    sketch = base(name, "falcon-h1", layers, hidden, ff, vocab, 131072)
    heads(sketch, a.heads, a.kv, a.size)
    ssm(sketch, 4, inner, state, 1, rank)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, ("attn_norm",))
        sketch.plain(p + "ffn_norm", hidden)
        mamba2(sketch, p, hidden)
        attend(sketch, p, hidden, a)
        feed(sketch, p, hidden, ff)
    return finish(sketch, hidden, vocab, tied=False)


def mamba2_model(name: str, layers: int, hidden: int, vocab: int) -> Sketch:
    sketch = base(name, "mamba2", layers, hidden, 0, vocab, 1048576, attention__head_count=0)
    ssm(sketch, 4, 2 * hidden, 128, 1, 2 * hidden // 64)
    for i in range(layers):
        norms(sketch, f"blk.{i}.", hidden, ("attn_norm",))
        mamba2(sketch, f"blk.{i}.", hidden)
    return finish(sketch, hidden, vocab, tied=True)


def lfm2(name: str, layers: int, hidden: int, ff: int, attending: Sequence[int], a: Attn) -> Sketch:
    kv = [a.kv if i in attending else 0 for i in range(layers)]
    sketch = base(name, "lfm2", layers, hidden, ff, 65536, 128000, shortconv__l_cache=3)
    heads(sketch, a.heads, kv, a.size)
    for i in range(layers):
        p = f"blk.{i}."
        norms(sketch, p, hidden, PLAIN)
        if kv[i]:
            attend(sketch, p, hidden, a)
        else:
            sketch.weight(p + "shortconv.conv", 3, hidden)
            sketch.weight(p + "shortconv.in_proj", hidden, 3 * hidden)
            sketch.weight(p + "shortconv.out_proj", hidden, hidden)
        feed(sketch, p, hidden, ff)
    sketch.weight("token_embd_norm", hidden)
    return sketch


def llama4(name: str, step: int, moe: Moe, dense: int) -> Sketch:
    sketch = base(name, "llama4", 48, 5120, dense, 202048, 1048576,
                  interleave_moe_layer_step=step)  # fmt: skip
    heads(sketch, 40, 8, 128)
    experts(sketch, moe, expert_shared_count=1)
    for i in range(48):
        p = f"blk.{i}."
        norms(sketch, p, 5120, PLAIN)
        attend(sketch, p, 5120, Attn(40, 8, 128))
        if (i + 1) % step == 0:
            route(sketch, p, 5120, moe)
        else:
            feed(sketch, p, 5120, dense)
    return finish(sketch, 5120, 202048, tied=False)


def bert(name: str, layers: int, hidden: int, n: int, ff: int, vocab: int) -> Sketch:
    sketch = base(name, "bert", layers, hidden, ff, vocab, 512, attention__causal=False,
                  attention__head_count=n, pooling_type=1)  # fmt: skip
    sketch.keys[LAYER_EPSILON] = 1e-12
    sketch.keys["tokenizer.ggml.token_type_count"] = 2
    sketch.weight("token_types", hidden, 2)
    sketch.weight("position_embd", hidden, 512)
    norms(sketch, "", hidden, ("token_embd_norm",), bias=True)
    for i in range(layers):
        p = f"blk.{i}."
        attend(sketch, p, hidden, Attn(n, n, hidden // n, bias=True, out_bias=True))
        norms(sketch, p, hidden, ("attn_output_norm", "layer_output_norm"), bias=True)
        feed(sketch, p, hidden, ff, gated=False, bias=True)
    return sketch


def glm4_moe(name: str, layers: int, hidden: int, a: Attn, ff: int, moe: Moe, lead: int) -> Sketch:
    sketch = decoder(name, "glm4moe", layers, hidden, a, ff, 151552, moe=moe, lead=lead,
                     norm=("attn_norm", "post_attention_norm"),
                     expert_shared_count=1, rope__dimension_count=64)  # fmt: skip
    return sketch


def gpt_oss(name: str, layers: int, moe: Moe) -> Sketch:
    sketch = decoder(name, "gpt-oss", layers, 2880, Attn(64, 8, 64, bias=True, out_bias=True), 2880,
                     201088, moe=moe, norm=("attn_norm", "post_attention_norm"),
                     attention__sliding_window=128)  # fmt: skip
    for i in range(layers):
        p = f"blk.{i}."
        sketch.weight(p + "attn_sinks", 64)
        sketch.bias(p + "ffn_gate_inp", moe.count)
        for part in ("gate", "up", "down"):
            sketch.bias(f"{p}ffn_{part}_exps", 2880, moe.count)
    return sketch
