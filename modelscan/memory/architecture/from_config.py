"""From config.json to the normalised architecture: by its fields, never by a model's name.

What a field means differs between families; where the file leaves something out, the default of
its transformers configuration class applies (``_TIED_BY_DEFAULT``). What cannot be told is noted
and makes the estimate a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import (
    PARTIAL,
    Architecture,
    Attention,
    Experts,
    Latent,
    Layer,
)
from modelscan.core.errors import UsageError
from modelscan.formats.quantization_config import quantization_method
from modelscan.memory.architecture.config_extras import engine_extras
from modelscan.memory.architecture.config_fields import (
    Fields,
    audio_fields,
    text_fields,
    vision_fields,
    whole,
)
from modelscan.memory.architecture.feed_forward import experts as experts_of
from modelscan.memory.architecture.feed_forward import feed_forward, gated
from modelscan.memory.architecture.layer_kinds import Kinds, layer_kinds
from modelscan.memory.architecture.recurrent_config import state_from

# Configuration classes whose default is tie_word_embeddings=True and whose files leave it out.
_TIED_BY_DEFAULT = ("gemma", "cohere", "gpt2", "bloom", "falcon", "mpt", "t5", "opt", "starcoder2",
                    "codegen", "mamba", "bert", "roberta", "gpt_bigcode", "lfm2", "vaultgemma",
                    "whisper", "voxtral")  # fmt: skip
# Their prediction block stores its own copies of the embedding and the head.
_OWN_PREDICTION_ENDS = ("deepseek_v3", "deepseek_v32")
_CAUSAL = ("CausalLM", "ConditionalGeneration", "LMHead", "ForGeneration", "Thinker")
MAX_SIZE = 1 << 20
_LIMITS = {"num_hidden_layers": 2048}
_ATTENDING = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED)


class ConfigError(UsageError):
    """config.json lacks what an estimate needs."""

    default_code = "config"


def from_config(config: Mapping[str, Any]) -> Architecture:
    """The architecture a config.json describes. Raises ConfigError without its basic numbers."""
    fields = text_fields(config)
    count = _required(fields, "num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth",
                      "num_decoder_layers", listed="layers_block_type")  # fmt: skip
    hidden = _required(fields, "hidden_size", "n_embd", "d_model", "dim", "model_dim")
    kinds = layer_kinds(fields, count)
    latent, vision = _latent(fields), vision_fields(config)
    experts = experts_of(fields)
    layers = tuple(_layer(fields, i, hidden, kinds, latent, experts) for i in range(count))
    encoder = _encoder_only(fields)
    return Architecture(
        name=fields.text("model_type") or _class_name(fields),
        layers=layers,
        hidden=hidden,
        vocabulary=fields.number("vocab_size", "padded_vocab_size", "n_vocab") or 0,
        context_tokens=_context(fields),
        experts=experts,
        latent=latent,
        tied_embeddings=_tied(fields, config),
        gated_feed_forward=gated(fields),
        embedding_model=encoder,
        encoder_only=encoder,
        vision=vision is not None,
        vision_heads=vision.number("num_heads", "num_attention_heads") if vision else None,
        mtp_layers=_prediction_layers(fields),
        dtype=(fields.text("torch_dtype", "dtype") or "").removeprefix("torch.") or None,
        quantization=quantization_method(fields.get("quantization_config")),
        known=kinds.known and not _notes(fields, kinds),
        notes=_notes(fields, kinds),
        extra=_extra(fields, config, hidden),
    )  # fmt: skip


def _required(fields: Fields, *names: str, listed: str | None = None) -> int:
    value = fields.number(*names)
    if not value and listed:
        value = len(fields.items(listed))
    if value and value > _LIMITS.get(names[0], MAX_SIZE):
        raise ConfigError(f"config.json claims {value} for {names[0]}")
    if not value or value < 0:
        raise ConfigError(
            f"config.json has no {names[0]}",
            hint="is it a language model's config? a tokenizer's or an adapter's is not",
        )
    return value


def _class_name(fields: Fields) -> str:
    classes = fields.items("architectures")
    return str(classes[0]) if classes else "unknown"


def _context(fields: Fields) -> int | None:
    return fields.number("max_position_embeddings", "n_positions", "seq_length", "n_ctx",
                         "max_seq_len", "max_sequence_length", "model_max_length")  # fmt: skip


def _tied(fields: Fields, config: Mapping[str, Any]) -> bool:
    stated = fields.flag("tie_word_embeddings", "share_embeddings_and_output_weights")
    if stated is not None:
        return stated
    kind = fields.text("model_type") or str(config.get("model_type") or "")
    return any(word in kind for word in _TIED_BY_DEFAULT)


def _prediction_layers(fields: Fields) -> int:
    """Stored prediction blocks. MiniMax names modules that its checkpoints do not hold."""
    if fields.number("num_mtp_modules"):
        return 0
    return fields.number("num_nextn_predict_layers", "mtp_num_hidden_layers") or 0


def _encoder_only(fields: Fields) -> bool:
    classes = " ".join(str(name) for name in fields.items("architectures"))
    if any(word in classes for word in _CAUSAL) or fields.flag("is_decoder"):
        return False
    encoder = fields.get("type_vocab_size", "position_embedding_type", "classifier_pooling")
    return encoder is not None or fields.flag("is_causal") is False


def _latent(fields: Fields) -> Latent | None:
    rank = fields.number("kv_lora_rank")
    if not rank:
        return None
    rope = fields.number("qk_rope_head_dim") or 0
    return Latent(
        kv_lora_rank=rank,
        rope_length=rope,
        q_lora_rank=fields.number("q_lora_rank") or None,
        nope_length=fields.number("qk_nope_head_dim"),
        value_length=fields.number("v_head_dim"),
    )


def _layer(
    fields: Fields, index: int, hidden: int, kinds: Kinds, latent: Latent | None,
    experts: Experts | None,
) -> Layer:  # fmt: skip
    kind = kinds.kinds[index] if index < len(kinds.kinds) else Attention.FULL
    state = state_from(fields, kind, hidden)
    dense, moe = feed_forward(fields, index, hidden, kinds, experts)
    if kind not in _ATTENDING:
        return Layer(kind, owns_cache=False, state=state, feed_forward=dense, moe=moe)
    heads, kv_heads, key, value = _heads(fields, index, hidden, kind)
    if latent:
        kind, kv_heads = Attention.MLA, 1
        key = value = latent.kv_lora_rank + latent.rope_length
    window = kinds.window_tokens if kind in (Attention.SLIDING, Attention.CHUNKED) else None
    if window and window >= (_context(fields) or window + 1):
        window = None  # it never slides
    shared = fields.number("num_kv_shared_layers") or 0
    return Layer(
        attention=kind if window or kind in (Attention.FULL, Attention.MLA) else Attention.FULL,
        heads=heads,
        kv_heads=kv_heads,
        key_length=key,
        value_length=value,
        window_tokens=window,
        owns_cache=index < len(kinds.kinds) - shared,
        state=state,
        feed_forward=dense,
        moe=moe,
    )


def _heads(fields: Fields, index: int, hidden: int, kind: Attention) -> tuple[int, int, int, int]:
    """Heads, KV heads, key and value length of one attending layer."""
    heads = fields.at(index, "num_attention_heads", "n_head", "n_heads", "num_heads") or 1
    kv_heads = fields.at(index, "num_key_value_heads", "n_kv_heads", "num_kv_heads", "n_head_kv",
                         "multi_query_group_num", "num_query_groups")  # fmt: skip
    if fields.flag("multi_query") and kv_heads is None:
        kv_heads = 1
    group = (fields.entry("block_configs", index).get("attention") or {}).get("n_heads_in_group")
    kv_heads = heads // group if isinstance(group, int) and group > 0 else kv_heads
    key = fields.at(index, "head_dim", "attention_head_dim", "kv_channels", "d_kv",
                    "head_size") or hidden // heads  # fmt: skip
    value = fields.at(index, "v_head_dim", "value_head_dim") or key
    kv_heads = heads if kv_heads is None else kv_heads
    return _by_kind(fields, kind, heads, kv_heads, key, value)


def _by_kind(
    fields: Fields, kind: Attention, heads: int, kv_heads: int, key: int, value: int
) -> tuple[int, int, int, int]:
    """Sliding and full layers may differ in heads and sizes (MiMo: swa_*; Gemma 4: global_*)."""
    if kind is Attention.SLIDING:
        heads = fields.number("swa_num_attention_heads") or heads
        kv_heads = fields.number("swa_num_key_value_heads") or kv_heads
        key = fields.number("swa_head_dim") or key
        value = fields.number("swa_v_head_dim") or value
        other = fields.table("attention_other_setting")
        if other:  # Step: the sliding layers' own head counts
            heads = whole(other.get("num_attention_heads")) or heads
            kv_heads = whole(other.get("num_attention_groups")) or kv_heads
    elif kind is Attention.FULL and fields.number("global_head_dim"):
        key = value = fields.number("global_head_dim") or key
        if fields.flag("attention_k_eq_v"):
            kv_heads = fields.number("num_global_key_value_heads") or kv_heads
    return heads, kv_heads, key, value


def _extra(
    fields: Fields, config: Mapping[str, Any], hidden: int
) -> dict[str, int | float | str | bool]:
    """Numbers that only parameter counts and single engines need."""
    extra: dict[str, int | float | str | bool] = {}
    for name, keys in {
        "per_layer_embedding": ("hidden_size_per_layer_input",),
        "per_layer_vocabulary": ("vocab_size_per_layer_input",),
        "indexer_key_length": ("index_head_dim",),
        "indexer_heads": ("index_n_heads",),
        "moe_latent": ("moe_latent_size", "routed_expert_hidden_size"),
        "positions": ("max_position_embeddings",) if _encoder_only(fields) else (),
        "token_types": ("type_vocab_size",),
    }.items():
        number = fields.number(*keys) if keys else None
        if number:
            extra[name] = number
    for name, flag in {
        "attention_gate": fields.flag("attn_output_gate", "attention_output_gate"),
        "k_eq_v": fields.flag("attention_k_eq_v"),
        "attention_bias": fields.flag("attention_bias", "qkv_bias", "use_bias"),
        "full_rank_gate": fields.table("linear_attn_config").get("use_full_rank_gate"),
    }.items():
        if flag:
            extra[name] = True
    if fields.text("model_type") in _OWN_PREDICTION_ENDS:
        extra["mtp_own_ends"] = True
    if "next" in fields.text("model_type") and fields.number("linear_num_value_heads"):
        extra["attention_gate"] = True  # Qwen3-Next: q_proj is twice as wide, not in its config
    rope = fields.table("rope_parameters", "rope_scaling")
    partial = fields.get("partial_rotary_factor", "rotary_pct") or rope.get("partial_rotary_factor")
    if isinstance(partial, (int, float)) and 0 < partial <= 1:
        extra["partial_rotary_factor"] = float(partial)
    if rope.get("mrope_section"):
        extra["m_rope"] = True
    if audio_fields(config) is not None:
        extra["audio"] = True
    return {**extra, **engine_extras(fields, config)}


def _notes(fields: Fields, kinds: Kinds) -> tuple[str, ...]:
    notes = list(kinds.notes)
    if fields.items("compress_ratios"):
        notes.append("the cache is compressed by a scheme of its own: the estimate is a range")
    if fields.flag(PARTIAL):
        notes.append(
            "which layers attend to a window only is not known: counted as attending to the whole "
            "context, the estimate is a range"
        )
    return tuple(notes)
