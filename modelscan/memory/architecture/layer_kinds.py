"""The kind of attention of each layer, from config.json.

Patterns that the file omits are the class defaults of transformers, by ``model_type``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelscan.core.architecture import Attention
from modelscan.memory.architecture.config_fields import ConfigFields, whole

_WORDS = {
    "full_attention": Attention.FULL, "full": Attention.FULL, "attention": Attention.FULL,
    "global": Attention.FULL, "global_attention": Attention.FULL, "attn": Attention.FULL,
    "dense_attention": Attention.FULL, "sparse_attention": Attention.FULL, "*": Attention.FULL,
    "hybrid": Attention.FULL, "minimax_sparse_attention": Attention.FULL,
    "sliding_attention": Attention.SLIDING, "sliding": Attention.SLIDING,
    "local": Attention.SLIDING, "local_attention": Attention.SLIDING, "swa": Attention.SLIDING,
    "sliding_window": Attention.SLIDING, "chunked_attention": Attention.CHUNKED,
    "linear_attention": Attention.LINEAR, "linear": Attention.LINEAR, "kda": Attention.LINEAR,
    "gated_delta_net": Attention.LINEAR, "lightning_attention": Attention.LINEAR,
    "recurrent": Attention.LINEAR, "conv": Attention.SSM, "mamba": Attention.SSM,
    "mamba2": Attention.SSM, "ssm": Attention.SSM, "m": Attention.SSM,
    "mlp": Attention.NONE, "moe": Attention.NONE, "-": Attention.NONE, "e": Attention.NONE,
    "none": Attention.NONE, "no_op": Attention.NONE, "ffn": Attention.NONE,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pattern:
    """A class default: one layer per ``period`` attends fully, the last or, if set, the first."""

    period: int
    full_first: bool = False


# transformers' configuration classes, where layer_types is derived and not stored.
_DEFAULTS = {
    "gemma2": Pattern(2), "gemma3": Pattern(6), "gemma3n": Pattern(5), "gemma4": Pattern(6),
    "cohere2": Pattern(4), "gpt_oss": Pattern(2), "olmo3": Pattern(4), "exaone4": Pattern(4),
    "exaone_moe": Pattern(4), "modernbert": Pattern(3, full_first=True), "afmoe": Pattern(4),
    "smallthinker": Pattern(4, full_first=True), "plamo3": Pattern(8), "vaultgemma": Pattern(2),
}  # fmt: skip
# Fields that state which layers attend how. They are irrelevant where the file lists the layers
# or has no window.
_PERIODS = ("full_attention_interval", "attn_layer_period", "attn_layer_offset",
            "attn_layer_indices", "full_attn_idxs", "attn_layer_idx",
            "layer_group_size")  # fmt: skip
_WINDOW_FIELDS = ("use_sliding_window", "max_window_layers", "sliding_window_pattern",
                  "_sliding_window_pattern", "global_attn_every_n_layers", "global_attn_every_n",
                  "attention_chunk_size", "no_rope_layers")  # fmt: skip
_MAMBA_ONLY = ("ssm_state_size", "state_size", "mamba_d_state", "d_state")


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kind of each layer, the window of sliding ones in tokens, and notes on assumptions."""

    kinds: tuple[Attention, ...]
    window_tokens: int | None
    notes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()  # the file's list of layers in lower case, if it has one
    known: bool = True


def layer_kinds(fields: ConfigFields, count: int) -> Kinds:
    """The kinds of ``count`` layers. Unknown words count as full attention, with a note."""
    window = fields.number("sliding_window", "sliding_window_size", "window_size", "local_window",
                           "local_attention")  # fmt: skip
    words = _words(fields, count)
    fields.settled(*_WINDOW_FIELDS)
    if words:
        fields.settled(*_PERIODS)
        return _from_words(words, window, fields)
    kinds = (
        _from_hybrid_fields(fields, count)
        or _from_windows(fields, count, window)
        or (Attention.FULL,) * count
    )
    chunk = fields.number("attention_chunk_size")
    return Kinds(kinds, chunk if Attention.CHUNKED in kinds else window)


def _words(fields: ConfigFields, count: int) -> tuple[str, ...]:
    """The file's list of layers, as lower-case words, cycled to ``count`` when it is shorter."""
    pattern = fields.get("hybrid_override_pattern", "layers_block_type", "layer_types",
                         "block_types", "_block_types", "layers_types", "mixer_types")  # fmt: skip
    if isinstance(pattern, str):
        listed = [letter.lower() for letter in pattern if letter != "|"]
    elif isinstance(pattern, (list, tuple)):
        listed = [str(word).lower() for word in pattern]
    else:
        return ()
    if not listed:
        return ()
    repeats = -(-count // len(listed))
    return tuple((listed * repeats)[:count])


def _from_words(words: tuple[str, ...], window: int | None, fields: ConfigFields) -> Kinds:
    chunk = fields.number("attention_chunk_size")
    kinds, unknown = [], set()
    for word in words:
        kind = _WORDS.get(word) or (Attention.FULL if "sparse" in word else None)
        if kind is None:
            unknown.add(word)
        kinds.append(kind or Attention.FULL)
    if Attention.CHUNKED in kinds:
        window = chunk or window
    notes = tuple(f"layer kind '{word}' is unknown: counted as full attention"
                  for word in sorted(unknown))  # fmt: skip
    return Kinds(tuple(kinds), window, notes, words, not unknown)


def _from_hybrid_fields(fields: ConfigFields, count: int) -> tuple[Attention, ...] | None:
    """Layers with a state, marked by index lists, periods or flags."""
    linear = fields.table("linear_attn_config")
    if linear.get("kda_layers") or linear.get("full_attn_layers"):
        full = _from_one(linear.get("full_attn_layers"))
        state = _from_one(linear.get("kda_layers"))
        return tuple(
            Attention.LINEAR if i in state or (full and i not in full) else Attention.FULL
            for i in range(count)
        )
    listed = fields.items("attn_type_list")
    if listed:  # 1: full attention, 0: linear (lightning) attention
        return tuple(Attention.FULL if bool(v) else Attention.LINEAR for v in listed[:count])
    blocks = fields.items("block_configs")
    if blocks:
        return tuple(_block_kind(block) for block in blocks[:count])
    return _from_periods(fields, count)


def _from_one(listed: Any) -> set[int]:
    """Layer numbers that count from one, as indices."""
    items = listed if isinstance(listed, (list, tuple)) else ()
    return {number - 1 for item in items if (number := whole(item))}


def _block_kind(block: Any) -> Attention:
    attention = block.get("attention") if isinstance(block, dict) else None
    if not isinstance(attention, dict):
        return Attention.FULL
    replaced = attention.get("no_op") or attention.get("replace_with_linear")
    return Attention.NONE if replaced else Attention.FULL


def _from_periods(fields: ConfigFields, count: int) -> tuple[Attention, ...] | None:
    interval = fields.number("full_attention_interval")
    if interval:
        return tuple(
            Attention.FULL if (i + 1) % interval == 0 else Attention.LINEAR for i in range(count)
        )
    group = fields.number("layer_group_size")
    if group:  # Ring, Ling: the last of each group attends, and so do layers after the last group
        whole_groups = count // group * group
        return tuple(
            Attention.FULL if (i + 1) % group == 0 or i >= whole_groups else Attention.LINEAR
            for i in range(count)
        )
    period, offset = fields.number("attn_layer_period"), fields.number("attn_layer_offset")
    if period:
        return tuple(
            Attention.FULL if i % period == (offset or 0) else Attention.SSM for i in range(count)
        )
    indices = fields.items("attn_layer_indices", "full_attn_idxs", "attn_layer_idx")
    if indices:
        return tuple(Attention.FULL if i in indices else Attention.SSM for i in range(count))
    if fields.number(*_MAMBA_ONLY) and not fields.number("num_attention_heads", "n_head"):
        return (Attention.SSM,) * count
    if fields.number("num_heads_wkv", "attention_hidden_size", "head_size_divisor"):
        return (Attention.LINEAR,) * count
    return None


def _from_windows(
    fields: ConfigFields, count: int, window: int | None
) -> tuple[Attention, ...] | None:
    if fields.items("hybrid_layer_pattern"):  # 0: full attention, 1: sliding window
        return tuple(
            Attention.SLIDING if bool(v) else Attention.FULL
            for v in fields.items("hybrid_layer_pattern")[:count]
        )
    ropeless = fields.items("no_rope_layers")
    if fields.number("attention_chunk_size") and (ropeless or not window):
        period = fields.number("no_rope_layer_interval") or 4
        marked = [bool(v) for v in ropeless] or [(i + 1) % period != 0 for i in range(count)]
        return tuple(Attention.CHUNKED if slides else Attention.FULL for slides in marked[:count])
    if not window or fields.flag("use_sliding_window") is False:
        return None
    return _sliding(fields, count)


def _sliding(fields: ConfigFields, count: int) -> tuple[Attention, ...]:
    kind = fields.text("model_type").removesuffix("_text")
    first_full = fields.number("max_window_layers")
    if fields.flag("use_sliding_window") and first_full is not None:
        return tuple(Attention.SLIDING if i >= first_full else Attention.FULL for i in range(count))
    period = fields.number("sliding_window_pattern", "_sliding_window_pattern",
                           "global_attn_every_n_layers", "global_attn_every_n")  # fmt: skip
    default = _DEFAULTS.get(kind)
    if not period and default is None:
        return (Attention.SLIDING,) * count
    period = period or (default.period if default else 1)
    first = default is not None and default.full_first
    return tuple(
        Attention.FULL if i % period == (0 if first else period - 1) else Attention.SLIDING
        for i in range(count)
    )
