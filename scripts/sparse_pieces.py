"""The pieces of a GGUF model: attention, feed-forward, experts, states, as names and shapes.

Tensor names are those that llama.cpp's ``load_arch_tensors`` asks for. Shapes are in GGML order:
row length first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_RMS, LAYER_EPSILON = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"


@dataclass
class Sketch:
    """One model: keys without the architecture's prefix, tensors in order."""

    name: str
    arch: str
    keys: dict[str, Any]
    tensors: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def weight(self, name: str, *shape: int) -> None:
        self.tensors.append((name + ".weight", shape))

    def bias(self, name: str, *shape: int) -> None:
        self.tensors.append((name + ".bias", shape))

    def plain(self, name: str, *shape: int) -> None:
        self.tensors.append((name, shape))


@dataclass(frozen=True)
class Attn:
    """Attention of one layer. ``query`` multiplies q's rows (gated queries)."""

    heads: int
    kv: int
    size: int
    query: int = 1
    fused: bool = False
    norm: str = ""  # "", head, full
    bias: bool = False
    out_bias: bool = False
    value: bool = True  # False: no v matrix (shared with k)
    keys: bool = True  # False: reads another layer's cache


@dataclass(frozen=True)
class Moe:
    count: int
    used: int
    width: int
    shared: int = 0
    gated: bool = True
    shared_gate: bool = False
    probs: bool = False
    latent: int = 0
    merged: bool = False


def base(name: str, arch: str, layers: int, hidden: int, ff: Any, vocab: int, context: int,
         **keys: Any) -> Sketch:  # fmt: skip
    """Keys every model has, and the embedding."""
    sketch = Sketch(name, arch, {
        "block_count": layers, "context_length": context, "embedding_length": hidden,
        "feed_forward_length": ff, "vocab_size": vocab, _RMS: 1e-5, LAYER_EPSILON: 1e-5,
        **{key.replace("__", "."): value for key, value in keys.items()},
    })  # fmt: skip
    sketch.weight("token_embd", hidden, vocab)
    return sketch


def heads(sketch: Sketch, count: int, kv: Any, size: int, **keys: Any) -> None:
    sketch.keys.update({
        "attention.head_count": count, "attention.head_count_kv": kv,
        "attention.key_length": size, "attention.value_length": size,
        **{key.replace("__", "."): value for key, value in keys.items()},
    })  # fmt: skip
    sketch.keys.setdefault("rope.dimension_count", size)


def finish(sketch: Sketch, hidden: int, vocab: int, *, tied: bool, bias: bool = False,
           normed: bool = True) -> Sketch:  # fmt: skip
    if normed:
        sketch.weight("output_norm", hidden)
    if bias:
        sketch.bias("output_norm", hidden)
    if not tied:
        sketch.weight("output", hidden, vocab)
    return sketch


def attend(sketch: Sketch, p: str, hidden: int, a: Attn) -> None:
    q, kv = a.heads * a.size, a.kv * a.size
    if a.fused:
        sketch.weight(p + "attn_qkv", hidden, q + 2 * kv)
    else:
        sketch.weight(p + "attn_q", hidden, q * a.query)
        if a.keys:
            sketch.weight(p + "attn_k", hidden, kv)
        if a.keys and a.value:
            sketch.weight(p + "attn_v", hidden, kv)
    sketch.weight(p + "attn_output", q, hidden)
    for part, width in (("q", q), ("k", kv), ("v", kv)) if a.bias else ():
        sketch.bias(f"{p}attn_{part}", width)
    if a.out_bias:
        sketch.bias(p + "attn_output", hidden)
    if a.norm:
        sketch.weight(p + "attn_q_norm", a.size if a.norm == "head" else q)
        if a.keys:
            sketch.weight(p + "attn_k_norm", a.size if a.norm == "head" else kv)


def feed(sketch: Sketch, p: str, hidden: int, ff: int, *, gated: bool = True,
         bias: bool = False) -> None:  # fmt: skip
    if gated:
        sketch.weight(p + "ffn_gate", hidden, ff)
    sketch.weight(p + "ffn_up", hidden, ff)
    sketch.weight(p + "ffn_down", ff, hidden)
    if bias:
        sketch.bias(p + "ffn_up", ff)
        sketch.bias(p + "ffn_down", hidden)


def route(sketch: Sketch, p: str, hidden: int, moe: Moe) -> None:
    inside = moe.latent or hidden
    sketch.weight(p + "ffn_gate_inp", hidden, moe.count)
    if moe.probs:
        sketch.bias(p + "exp_probs_b", moe.count)
    if moe.latent:
        sketch.weight(p + "ffn_latent_down", hidden, inside)
        sketch.weight(p + "ffn_latent_up", inside, hidden)
    if moe.merged:
        sketch.weight(p + "ffn_gate_up_exps", inside, 2 * moe.width, moe.count)
    else:
        if moe.gated:
            sketch.weight(p + "ffn_gate_exps", inside, moe.width, moe.count)
        sketch.weight(p + "ffn_up_exps", inside, moe.width, moe.count)
    sketch.weight(p + "ffn_down_exps", moe.width, inside, moe.count)
    if moe.shared_gate:
        sketch.weight(p + "ffn_gate_inp_shexp", hidden)
    if moe.shared:
        if moe.gated:
            sketch.weight(p + "ffn_gate_shexp", hidden, moe.shared)
        sketch.weight(p + "ffn_up_shexp", hidden, moe.shared)
        sketch.weight(p + "ffn_down_shexp", moe.shared, hidden)


def experts(sketch: Sketch, moe: Moe, **keys: Any) -> None:
    sketch.keys.update({
        "expert_count": moe.count, "expert_used_count": moe.used,
        "expert_feed_forward_length": moe.width, "expert_gating_func": 2 if moe.probs else 1,
        **{key.replace("__", "."): value for key, value in keys.items()},
    })  # fmt: skip


def norms(sketch: Sketch, p: str, hidden: int, names: Sequence[str], *, bias: bool = False) -> None:
    for name in names:
        sketch.weight(p + name, hidden)
        if bias:
            sketch.bias(p + name, hidden)


def ssm(sketch: Sketch, kernel: int, inner: int, state: int, groups: int, rank: int) -> None:
    sketch.keys.update({
        "ssm.conv_kernel": kernel, "ssm.inner_size": inner, "ssm.state_size": state,
        "ssm.group_count": groups, "ssm.time_step_rank": rank,
    })  # fmt: skip


def mamba2(sketch: Sketch, p: str, hidden: int) -> None:
    """One Mamba-2 mixer, from the sketch's own ssm keys."""
    keys = sketch.keys
    kernel, inner = keys["ssm.conv_kernel"], keys["ssm.inner_size"]
    state, groups, rank = keys["ssm.state_size"], keys["ssm.group_count"], keys["ssm.time_step_rank"]  # noqa: E501 # fmt: skip
    wide = inner + 2 * groups * state
    sketch.weight(p + "ssm_in", hidden, inner + wide + rank)
    sketch.weight(p + "ssm_conv1d", kernel, wide)
    sketch.bias(p + "ssm_conv1d", wide)
    sketch.bias(p + "ssm_dt", rank)
    sketch.plain(p + "ssm_a", 1, rank)
    sketch.plain(p + "ssm_d", 1, rank)
    sketch.weight(p + "ssm_norm", inner // groups, groups)
    sketch.weight(p + "ssm_out", inner, hidden)


def delta_net(sketch: Sketch, p: str, hidden: int, *, joined: bool) -> None:
    """Gated delta net; ``joined``: beta and alpha in one matrix (Qwen3-Next)."""
    keys = sketch.keys
    state, groups, rank = keys["ssm.state_size"], keys["ssm.group_count"], keys["ssm.time_step_rank"]  # noqa: E501 # fmt: skip
    value = rank * state
    wide = 2 * groups * state + value
    sketch.weight(p + "attn_qkv", hidden, wide)
    sketch.weight(p + "attn_gate", hidden, value)
    sketch.weight(p + "ssm_conv1d", keys["ssm.conv_kernel"], wide)
    sketch.bias(p + "ssm_dt", rank)
    sketch.plain(p + "ssm_a", rank)
    if joined:
        sketch.weight(p + "ssm_ba", hidden, 2 * rank)
    else:
        sketch.weight(p + "ssm_beta", hidden, rank)
        sketch.weight(p + "ssm_alpha", hidden, rank)
    sketch.weight(p + "ssm_norm", state)
    sketch.weight(p + "ssm_out", value, hidden)


def latent(sketch: Sketch, p: str, hidden: int, count: int, q_rank: int, kv_rank: int, nope: int,
           rope: int, value: int) -> None:  # fmt: skip
    query = count * (nope + rope)
    if q_rank:
        sketch.weight(p + "attn_q_a_norm", q_rank)
        sketch.weight(p + "attn_q_a", hidden, q_rank)
        sketch.weight(p + "attn_q_b", q_rank, query)
    else:
        sketch.weight(p + "attn_q", hidden, query)
    sketch.weight(p + "attn_kv_a_norm", kv_rank)
    sketch.weight(p + "attn_kv_a_mqa", hidden, kv_rank + rope)
    sketch.weight(p + "attn_k_b", nope, kv_rank, count)
    sketch.weight(p + "attn_v_b", kv_rank, value, count)
    sketch.weight(p + "attn_output", count * value, hidden)


def index_rows(sketch: Sketch, p: str, hidden: int, q_rank: int, count: int, size: int,
               top: int) -> None:  # fmt: skip
    """The indexer of sparse attention: ``top`` rows are chosen by ``count`` heads."""
    for key, value in (("head_count", count), ("key_length", size), ("top_k", top)):
        sketch.keys[f"attention.indexer.{key}"] = value
    sketch.weight(p + "indexer.k_norm", size)
    sketch.bias(p + "indexer.k_norm", size)
    sketch.weight(p + "indexer.proj", hidden, count)
    sketch.weight(p + "indexer.attn_k", hidden, size)
    sketch.weight(p + "indexer.attn_q_b", q_rank, count * size)
