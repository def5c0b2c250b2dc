"""Shapes of published models as GGUF keys and tensors: names and sizes, nothing else.

Sizes are those of the models' published configurations; tensor names those that llama.cpp's
``load_arch_tensors`` asks for. Shapes are in GGML order: row length first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

_RMS, _LAYER = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"


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
        "feed_forward_length": ff, "vocab_size": vocab, _RMS: 1e-5, _LAYER: 1e-5,
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


def finish(sketch: Sketch, hidden: int, vocab: int, *, tied: bool, bias: bool = False) -> Sketch:
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


# ---- families ---------------------------------------------------------------------------------

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
        sketch.keys[_LAYER] = 1e-5
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
    return finish(sketch, hidden, vocab, tied=tied, bias=biased)


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


def qwen_hybrid(name: str, arch: str, layers: int, hidden: int, a: Attn, ff: int, vocab: int,
                groups: int, rank: int, moe: Moe | None = None, *, tied: bool = False) -> Sketch:  # noqa: E501 # fmt: skip
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
             arch: str = "deepseek2", nextn: int = 0) -> Sketch:  # fmt: skip
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
    sketch.keys[_LAYER] = 1e-12
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


_SUPER = "MEMEMEM*EMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEMEM*EMEMEMEM*EMEMEMEM*EMEMEMEMEMEM*EMEMEME"
_NANO = "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"
_NANO9B = "M-M-M-MM-M-M-M*-M-M-M*-M-M-M-M*-M-M-M-M*-M-MM-M-M-M-M-M-"

MODELS: dict[str, Callable[[], Sketch]] = {
    "llama-3.2-3b": lambda: decoder("llama-3.2-3b", "llama", 28, 3072, Attn(24, 8, 128), 8192,
                                    128256, tied=True),
    "codellama-34b": lambda: decoder("codellama-34b", "llama", 48, 8192, Attn(64, 8, 128), 22016,
                                     32000, context=16384),
    "mistral-small-24b": lambda: decoder("mistral-small-24b", "llama", 40, 5120, Attn(32, 8, 128),
                                         32768, 131072),
    "mixtral-8x22b": lambda: decoder("mixtral-8x22b", "llama", 56, 6144, Attn(48, 8, 128), 16384,
                                     32768, moe=Moe(8, 2, 16384)),
    "qwen2.5-14b": lambda: decoder("qwen2.5-14b", "qwen2", 48, 5120, Attn(40, 8, 128, bias=True),
                                   13824, 152064),
    "qwen2-0.5b": lambda: decoder("qwen2-0.5b", "qwen2", 24, 896, Attn(14, 2, 64, bias=True), 4864,
                                  151936, tied=True),
    "qwen3-14b": lambda: decoder("qwen3-14b", "qwen3", 40, 5120, Attn(40, 8, 128, norm="head"),
                                 17408, 151936),
    "qwen3-235b-a22b": lambda: decoder("qwen3-235b-a22b", "qwen3moe", 94, 4096,
                                       Attn(64, 4, 128, norm="head"), 12288, 151936,
                                       moe=Moe(128, 8, 1536)),
    "qwen2moe-57b-a14b": lambda: decoder(
        "qwen2moe-57b-a14b", "qwen2moe", 28, 3584, Attn(28, 4, 128, bias=True), 18944, 151936,
        moe=Moe(64, 8, 2560, 20480, shared_gate=True), expert_shared_feed_forward_length=20480),
    "gemma-2-9b": lambda: decoder("gemma-2-9b", "gemma2", 42, 3584, Attn(16, 8, 256), 14336, 256000,
                                  tied=True, norm=SANDWICH, attention__sliding_window=4096),
    "gemma-2-27b": lambda: decoder("gemma-2-27b", "gemma2", 46, 4608, Attn(32, 16, 128), 36864,
                                   256000, tied=True, norm=SANDWICH,
                                   attention__sliding_window=4096),
    "gemma-3-1b": lambda: decoder("gemma-3-1b", "gemma3", 26, 1152, Attn(4, 1, 256, norm="head"),
                                  6912, 262144, tied=True, norm=SANDWICH,
                                  attention__sliding_window=512),
    "gemma-3-27b": lambda: decoder("gemma-3-27b", "gemma3", 62, 5376, Attn(32, 16, 128, norm="head"),
                                   21504, 262144, tied=True, norm=SANDWICH,
                                   attention__sliding_window=1024),
    "gemma-4-31b": lambda: gemma4("gemma-4-31b", 60, 5376, 21504, 32, (16, 4)),
    "gemma-4-e4b": lambda: gemma4("gemma-4-e4b", 42, 2560, 10240, 8, (2, 2), per_layer=256,
                                  shared=18, window=512),
    "gemma-4-26b-a4b": lambda: gemma4("gemma-4-26b-a4b", 30, 2816, 2112, 16, (8, 2),
                                      moe=Moe(128, 8, 704, merged=True)),
    "phi-3.5-mini": lambda: decoder("phi-3.5-mini", "phi3", 32, 3072, Attn(32, 32, 96, fused=True),
                                    8192, 32064, fused_up=True, attention__sliding_window=262144),
    "phi-4-mini": lambda: decoder("phi-4-mini", "phi3", 32, 3072, Attn(24, 8, 128, fused=True),
                                  8192, 200064, fused_up=True, tied=True),
    "glm-4-32b": lambda: decoder("glm-4-32b", "glm4", 61, 6144, Attn(48, 2, 128), 23040, 151552,
                                 norm=SANDWICH, fused_up=True, context=32768,
                                 rope__dimension_count=64),
    "glm-4.5-air": lambda: glm4_moe("glm-4.5-air", 46, 4096, Attn(96, 8, 128, bias=True), 10944,
                                    Moe(128, 8, 1408, 1408, probs=True), 1),
    "glm-4.5": lambda: glm4_moe("glm-4.5", 92, 5120, Attn(96, 8, 128, bias=True, norm="head"), 12288,
                                Moe(160, 8, 1536, 1536, probs=True), 3),
    "gpt-oss-120b": lambda: gpt_oss("gpt-oss-120b", 36, Moe(128, 4, 2880)),
    "deepseek-r1": lambda: deepseek("deepseek-r1", 61, 7168, 128, 18432, 129280,
                                    Moe(256, 8, 2048, 2048, probs=True), 3, 1536),
    "kimi-k2": lambda: deepseek("kimi-k2", 61, 7168, 64, 18432, 163840,
                                Moe(384, 8, 2048, 2048, probs=True), 1, 1536),
    "qwen3-next-80b": lambda: qwen_hybrid(
        "qwen3-next-80b", "qwen3next", 48, 2048, Attn(16, 2, 256, query=2, norm="head"), 5120,
        151936, 16, 32, Moe(512, 10, 512, 512, shared_gate=True)),
    "qwen3.5-35b-a3b": lambda: qwen_hybrid(
        "qwen3.5-35b-a3b", "qwen35moe", 40, 2048, Attn(16, 2, 256, query=2, norm="head"), 512,
        248320, 16, 32, Moe(256, 8, 512, 512, shared_gate=True)),
    "qwen3.5-9b": lambda: qwen_hybrid("qwen3.5-9b", "qwen35", 32, 4096,
                                      Attn(16, 4, 256, query=2, norm="head"), 12288, 248320, 16,
                                      32),
    "llama-4-scout": lambda: llama4("llama-4-scout", 1, Moe(16, 1, 8192, 8192), 16384),
    "llama-4-maverick": lambda: llama4("llama-4-maverick", 2, Moe(128, 1, 8192, 8192), 16384),
    "command-r-35b": lambda: decoder("command-r-35b", "command-r", 40, 8192, Attn(64, 64, 128),
                                     22528, 256000, tied=True, norm=("attn_norm",),
                                     attention__layer_norm_epsilon=1e-5, logit_scale=0.0625),
    "command-a-111b": lambda: decoder("command-a-111b", "cohere2", 64, 12288, Attn(96, 8, 128),
                                      36864, 256000, tied=True, norm=("attn_norm",),
                                      attention__layer_norm_epsilon=1e-5, logit_scale=0.25,
                                      attention__sliding_window=4096),
    "falcon-h1-7b": lambda: falcon_h1("falcon-h1-7b", 44, 3072, 12288, Attn(12, 2, 128), 3072, 256,
                                      24, 130049),
    "granite-4-h-tiny": lambda: granite_hybrid(
        "granite-4-h-tiny", 40, 1536, 512, (5, 15, 25, 35), Attn(12, 4, 128), 48,
        Moe(64, 6, 512, 1024)),
    "granite-4-h-small": lambda: granite_hybrid(
        "granite-4-h-small", 40, 4096, 768, (5, 15, 25, 35), Attn(32, 8, 128), 128,
        Moe(72, 10, 768, 1536)),
    "granite-4-h-1b": lambda: granite_hybrid("granite-4-h-1b", 40, 1536, 4096, (5, 15, 25, 35),
                                             Attn(12, 4, 128), 48, None),
    "nemotron-nano-9b": lambda: nemotron_h("nemotron-nano-9b", _NANO9B, 4480, 15680,
                                           Attn(40, 8, 128), 10240, 128),
    "nemotron-3-nano": lambda: nemotron_h("nemotron-3-nano", _NANO, 2688, 1856, Attn(32, 2, 128),
                                          4096, 64, Moe(128, 6, 1856, 3712, gated=False,
                                                        probs=True)),
    "nemotron-3-super": lambda: nemotron_h("nemotron-3-super", _SUPER, 4096, 2688,
                                           Attn(32, 2, 128), 8192, 128,
                                           Moe(512, 22, 2688, 5376, gated=False, probs=True,
                                               latent=1024)),
    "mamba2-2.7b": lambda: mamba2_model("mamba2-2.7b", 64, 2560, 50288),
    "lfm2-1.2b": lambda: lfm2("lfm2-1.2b", 16, 2048, 8192, (2, 5, 8, 10, 12, 14),
                              Attn(32, 8, 64, norm="head")),
    "olmo-3-32b": lambda: decoder("olmo-3-32b", "olmo2", 64, 5120, Attn(40, 8, 128, norm="full"),
                                  27648, 100278, norm=("post_attention_norm", "post_ffw_norm"),
                                  attention__sliding_window=4096),
    "olmoe-1b-7b": lambda: decoder("olmoe-1b-7b", "olmoe", 16, 2048, Attn(16, 16, 128, norm="full"),
                                   1024, 50304, moe=Moe(64, 8, 1024)),
    "starcoder2-7b": lambda: decoder("starcoder2-7b", "starcoder2", 32, 4608,
                                     Attn(36, 4, 128, bias=True, out_bias=True), 18432, 49152,
                                     gated=False, biased=True),
    "minimax-m2": lambda: decoder("minimax-m2", "minimax-m2", 62, 3072,
                                  Attn(48, 8, 128, norm="full"), 1536, 200064,
                                  moe=Moe(256, 8, 1536, probs=True)),
    "bge-large": lambda: bert("bge-large", 24, 1024, 16, 4096, 30522),
    "exaone4-32b": lambda: decoder("exaone4-32b", "exaone4", 64, 5120, Attn(40, 8, 128, norm="head"),
                                   27392, 102400, norm=("post_attention_norm", "post_ffw_norm"),
                                   attention__sliding_window=4096),
    "seed-oss-36b": lambda: decoder("seed-oss-36b", "seed_oss", 64, 5120, Attn(80, 8, 128, bias=True),
                                    27648, 155136, norm=("attn_norm", "post_attention_norm")),
    "ernie-4.5-21b-a3b": lambda: decoder(
        "ernie-4.5-21b-a3b", "ernie4_5-moe", 28, 2560, Attn(20, 4, 128), 12288, 103424, tied=True,
        moe=Moe(64, 6, 1536, 3072, probs=True), lead=1, expert_shared_count=2,
        interleave_moe_layer_step=1, expert_shared_feed_forward_length=3072),
}  # fmt: skip
