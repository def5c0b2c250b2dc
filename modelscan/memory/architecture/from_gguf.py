"""From a GGUF header to the normalised architecture, with llama.cpp's rules.

Defaults follow ``llama_model_base::load_hparams`` (src/llama-model.cpp, b11549). The tensors
of each block show whether it attends or has a recurrent state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from modelscan.core.architecture import (
    Architecture,
    Attention,
    Experts,
    Latent,
    Layer,
    RecurrentState,
    Tensor,
)
from modelscan.formats.gguf import GgufError, GgufHeader, LongArray
from modelscan.memory.architecture import gguf_rules as rules
from modelscan.memory.weights_gguf import layer_of

_STATE_MARKS = ("ssm_", "shortconv", "time_mix")
_ATTENTION_MARKS = ("attn_q.", "attn_k.", "attn_q_b.", "attn_kv_a_mqa.", "attn_kv_b.")
MAX_LAYERS = 1024  # llama.cpp: LLAMA_MAX_LAYERS 512
MAX_SIZE = 1 << 40


def from_gguf(header: GgufHeader) -> Architecture:
    """The architecture of a GGUF file. Raises GgufError if a required key is missing."""
    keys = Keys(header)
    count = keys.required("block_count")
    if not 0 < count <= MAX_LAYERS:
        raise GgufError(f"the file claims {count} layers")
    mtp = min(keys.number("nextn_predict_layers") or 0, count - 1)
    blocks = block_tensors(header.tensors, count)
    layers = tuple(_layer(keys, index, count - mtp, blocks[index]) for index in range(count))
    name = header.architecture
    notes = _notes(keys)
    causal = keys.value("attention.causal")
    return Architecture(
        name=name,
        layers=layers[: count - mtp],
        hidden=keys.required("embedding_length"),
        vocabulary=_vocabulary(header, keys),
        context_tokens=keys.number("context_length"),
        experts=_experts(keys, blocks),
        latent=_latent(keys),
        tied_embeddings=not any(t.name == "output.weight" for t in header.tensors),
        gated_feed_forward=any("ffn_gate" in t.name for t in header.tensors),
        embedding_model=bool(keys.number("pooling_type")) or name in rules.NO_CACHE,
        encoder_only=name in rules.NO_CACHE or causal is False,
        mtp_layers=mtp,
        known=not notes,
        notes=notes,
        extra=_extra(keys),
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """``{architecture}.*`` keys, by exact name, scalar or one value per layer."""

    header: GgufHeader

    def value(self, name: str) -> object:
        """The raw value of a key: scalar, tuple or None."""
        return self.header.key(name)

    def number(self, name: str) -> int | None:
        """A size; the largest value of a per-layer list; None if missing or implausible."""
        value = self.header.key(name)
        if isinstance(value, tuple):
            return max((v for item in value if (v := _size(item)) is not None), default=None)
        return _size(value)

    def per_layer(self, name: str, layer: int) -> int | None:
        """The size for block ``layer``: its list entry, or the scalar that applies to all."""
        value = self.header.key(name)
        if isinstance(value, tuple):
            return _size(value[layer]) if layer < len(value) else None
        return _size(value)

    def required(self, name: str) -> int:
        """A size that every model has. Raises GgufError if it is missing."""
        value = self.number(name)
        if value is None or value < 0:
            raise GgufError(
                f"the file lacks '{self.header.architecture}.{name}'",
                hint="is it a language model? projector (mmproj) and LoRA files are not",
            )
        return value


def _size(value: object) -> int | None:
    """``value`` as an int if it is a plausible size (0 to 2^40), else None."""
    if not isinstance(value, (int, float)) or not 0 <= value <= MAX_SIZE:
        return None
    return int(value)


def block_tensors(tensors: tuple[Tensor, ...], count: int) -> list[dict[str, Tensor]]:
    """The tensors of each of ``count`` blocks, by their names without ``blk.N.``."""
    blocks: list[dict[str, Tensor]] = [{} for _ in range(count)]
    for tensor in tensors:
        number = layer_of(tensor.name)
        if number is not None and number < count:
            blocks[number][tensor.name[4:].partition(".")[2]] = tensor
    return blocks


def _layer(keys: Keys, index: int, trunk: int, tensors: Mapping[str, Tensor]) -> Layer:
    heads = keys.per_layer("attention.head_count", index) or 0
    kv_heads = keys.per_layer("attention.head_count_kv", index)
    kv_heads = heads if kv_heads is None else kv_heads
    state = _state(keys, index, trunk, tensors, kv_heads)
    attends = _attends(keys, index, trunk, tensors, kv_heads, state)
    _require_heads(keys, heads, tensors, state)
    window = sliding_window(keys, index, trunk) if attends else None
    kind = _kind(keys, attends, state, window)
    key, value = _head_sizes(keys, window is not None)
    owned = _owned_layers(keys, trunk)
    return Layer(
        attention=kind,
        heads=heads if attends else 0,
        kv_heads=kv_heads if attends else 0,
        key_length=key if attends else 0,
        value_length=value if attends else 0,
        window_tokens=window,
        owns_cache=attends and (owned is None or index < owned),
        state=state,
        feed_forward=keys.per_layer("feed_forward_length", index) or 0,
        moe=any(name.startswith(("ffn_up_exps", "ffn_gate_up_exps")) for name in tensors),
    )


def _require_heads(
    keys: Keys, heads: int, tensors: Mapping[str, Tensor], state: RecurrentState | None
) -> None:
    """Raises GgufError where llama.cpp refuses the file: an attending block without heads."""
    marked = any(name.startswith((*_ATTENTION_MARKS, "attn_qkv.")) for name in tensors)
    recurrent = state is not None or keys.number("ssm.state_size") or keys.number("wkv.head_size")
    if heads or recurrent or (tensors and not marked):
        return
    raise GgufError(
        f"the file lacks '{keys.header.architecture}.attention.head_count'",
        hint="llama.cpp does not load it either: download or convert the model again",
    )


def _kind(keys: Keys, attends: bool, state: RecurrentState | None, window: int | None) -> Attention:
    if attends:
        if _latent(keys):
            return Attention.MLA
        if window is None:
            return Attention.FULL
        rule = rules.WINDOW_RULES.get(keys.header.architecture)
        return Attention.CHUNKED if rule and rule.chunked else Attention.SLIDING
    if state is None:
        return Attention.NONE
    linear = keys.header.architecture in rules.FULL_ATTENTION_INTERVAL or keys.number(
        "kda.head_dim"
    )
    return Attention.LINEAR if linear else Attention.SSM


def _attends(
    keys: Keys, index: int, trunk: int, tensors: Mapping[str, Tensor], kv_heads: int,
    state: RecurrentState | None,
) -> bool:  # fmt: skip
    if kv_heads == 0:
        return False
    if state is not None:
        return keys.header.architecture in rules.PARALLEL_HYBRID
    if not tensors:  # a header without its tensor table
        return True
    fused = any(name.startswith("attn_qkv.") for name in tensors)
    return fused or any(name.startswith(_ATTENTION_MARKS) for name in tensors)


def _state(
    keys: Keys, index: int, trunk: int, tensors: Mapping[str, Tensor], kv_heads: int
) -> RecurrentState | None:
    listed = keys.value("attention.recurrent_layers")
    if isinstance(listed, tuple):
        recurrent = bool(keys.per_layer("attention.recurrent_layers", index))
    elif keys.header.architecture == "minimax-01":
        interval = keys.number("full_attention_interval") or 8
        recurrent = index < trunk and (index + 1) % interval != 0
    else:
        recurrent = any(name.startswith(_STATE_MARKS) for name in tensors)
    return recurrent_state(keys) if recurrent else None


def recurrent_state(keys: Keys) -> RecurrentState | None:
    """The state's sizes as in ``llama_hparams::n_embd_r`` and ``n_embd_s``; None without one."""
    hidden = keys.required("embedding_length")
    heads = keys.number("attention.head_count") or 0
    wkv = keys.number("wkv.head_size")
    if wkv:
        shifts = keys.number("token_shift_count")
        return RecurrentState((2 if shifts is None else shifts) + 1, hidden, wkv, 0)
    short = keys.number("shortconv.l_cache")
    if short:
        return RecurrentState(short, hidden, 0, 0)
    kernel = keys.number("ssm.conv_kernel")
    kda = keys.number("kda.head_dim")
    if kda:
        return RecurrentState(kernel or 4, heads * kda, kda, heads, heads)
    inner, state = keys.number("ssm.inner_size"), keys.number("ssm.state_size")
    if inner and state:
        groups = keys.number("ssm.group_count") or 0
        return RecurrentState(kernel or 1, inner, state, groups, keys.number("ssm.time_step_rank"))
    size = keys.number("attention.key_length") or 0
    return RecurrentState(1, heads * size, size, 0, heads) if size else None


def _head_sizes(keys: Keys, sliding: bool) -> tuple[int, int]:
    first = keys.per_layer("attention.head_count", 0) or keys.number("attention.head_count") or 1
    default = keys.required("embedding_length") // max(1, first)
    sizes = []
    for name in ("key_length", "value_length"):
        full = keys.number(f"attention.{name}")
        swa = keys.number(f"attention.{name}_swa") if sliding else None
        sizes.append(swa or (default if full is None else full))
    return sizes[0], sizes[1]


def sliding_window(keys: Keys, index: int, trunk: int) -> int | None:
    """The window of layer ``index`` in tokens; None if it attends to the whole context.

    ``trunk``: number of layers without multi-token-prediction blocks.
    """
    arch = keys.header.architecture
    rule = rules.WINDOW_RULES.get(arch)
    window = _window_tokens(keys, rule)
    if not window or arch in rules.WINDOW_IGNORED or index >= trunk:
        return None
    pattern = keys.value("attention.sliding_window_pattern")
    if isinstance(pattern, tuple):
        return window if keys.per_layer("attention.sliding_window_pattern", index) else None
    if rule is None or (arch == "exaone4" and trunk != 64):
        return None
    stated = _size(pattern)
    return window if _slides(rule, rule.period if stated is None else stated, index) else None


def _window_tokens(keys: Keys, rule: rules.WindowRule | None) -> int | None:
    """The window in the file, unless llama.cpp has a fixed one for the architecture."""
    stated = keys.number("attention.sliding_window")
    if rule is None:
        return stated
    window = rule.default_window if stated is None else stated
    return rule.window_tokens if window and rule.window_tokens else window


def _slides(rule: rules.WindowRule, period: int, index: int) -> bool:
    """Whether the layer has a window: the first or last layer of each period has none."""
    if period == 0:
        return True
    return index % period != 0 if rule.full_first else index % period < period - 1


def _owned_layers(keys: Keys, trunk: int) -> int | None:
    shared = keys.number("attention.shared_kv_layers")
    if shared:
        return trunk - shared
    return rules.KV_LAYERS_FROM_START.get(keys.header.architecture)


def _latent(keys: Keys) -> Latent | None:
    """MLA as llama.cpp caches it; None for old files without ``key_length_mla`` (plain cache)."""
    rank, key = keys.number("attention.kv_lora_rank"), keys.number("attention.key_length_mla")
    if not rank or not key:
        return None
    rope = (keys.number("attention.key_length") or 0) - rank
    if rope <= 0:
        rope = keys.number("rope.dimension_count") or 64
    return Latent(
        kv_lora_rank=rank,
        rope_length=rope,
        q_lora_rank=keys.number("attention.q_lora_rank"),
        nope_length=key - rope,
        value_length=keys.number("attention.value_length_mla"),
    )


def _experts(keys: Keys, blocks: list[dict[str, Tensor]]) -> Experts | None:
    total = keys.number("expert_count")
    if not total:
        return None
    for tensors in blocks:
        down = tensors.get("ffn_down_exps.weight")
        if down and down.shape:
            shared = tensors.get("ffn_down_shexp.weight")
            return Experts(
                total=total,
                active=keys.number("expert_used_count") or 0,
                width=down.shape[0],
                shared=keys.number("expert_shared_count") or int(shared is not None),
                shared_width=shared.shape[0] if shared else 0,
                gated="ffn_gate_exps.weight" in tensors or "ffn_gate_up_exps.weight" in tensors,
            )
    width = keys.number("expert_feed_forward_length") or keys.number("feed_forward_length") or 0
    return Experts(total, keys.number("expert_used_count") or 0, width)


def _vocabulary(header: GgufHeader, keys: Keys) -> int:
    tokens = header.length("tokenizer.ggml.tokens")
    if tokens:
        return tokens
    for tensor in header.tensors:
        if tensor.name == "token_embd.weight" and len(tensor.shape) == 2:
            return keys.number("vocab_size") or tensor.shape[1]
    return keys.number("vocab_size") or 0


def _extra(keys: Keys) -> dict[str, int | float | str | bool]:
    sections = keys.value("rope.dimension_sections")
    extra: dict[str, int | float | str | bool] = {
        "m_rope": isinstance(sections, tuple) and len(sections) > 1 and sum(
            1 for s in sections[:2] if isinstance(s, (int, float)) and s > 0) == 2,
    }  # fmt: skip
    for key, name in (
        ("embedding_length_per_layer_input", "per_layer_embedding"),
        ("attention.indexer.key_length", "indexer_key_length"),
        ("attention.indexer.top_k", "indexer_top_k"),
        ("n_deepstack_layers", "deepstack"),
        ("pooling_type", "pooling_type"),
        ("embedding_length_out", "embedding_out"),
    ):
        number = keys.number(key)
        if number:
            extra[name] = number
    return extra


def _notes(keys: Keys) -> tuple[str, ...]:
    arch = keys.header.architecture
    notes = []
    if arch in rules.OWN_CACHE_DESIGN:
        notes.append(f"no formula covers the cache design of {arch}: the estimate is a range")
    window = keys.number("attention.sliding_window")
    pattern = keys.value("attention.sliding_window_pattern")
    has_rule = arch in rules.WINDOW_RULES or arch in rules.WINDOW_IGNORED or pattern is not None
    if window and not has_rule:
        notes.append(f"{arch} has a window of {window} tokens but no pattern: counted in full")
    if any(isinstance(keys.value(k), LongArray) for k in ("attention.head_count_kv",)):
        notes.append("per-layer lists in the header are too long to be real")
    return tuple(notes)
