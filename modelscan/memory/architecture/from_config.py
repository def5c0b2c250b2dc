"""From config.json to the normalised architecture: by its fields, never by a model's name.

The meaning of a field differs between families. Where the file omits a field, the default of its
transformers configuration class applies (``_TIED_BY_DEFAULT``). A fact that cannot be derived is
noted and makes the estimate a range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
from modelscan.memory.architecture.attention_heads import caches_latent, heads_of, latent_of
from modelscan.memory.architecture.checkpoint import POSITIONS, checkpoint_of
from modelscan.memory.architecture.config_extras import engine_extras, scaled_context
from modelscan.memory.architecture.config_fields import (
    ConfigFields,
    audio_fields,
    text_fields,
    vision_fields,
)
from modelscan.memory.architecture.config_keys import mixed_note, unread_keys, unread_note
from modelscan.memory.architecture.encoder_decoder import CACHE_NOTE, as_decoder, is_encoder_decoder
from modelscan.memory.architecture.feed_forward import experts as experts_of
from modelscan.memory.architecture.feed_forward import feed_forward, gated, second_experts
from modelscan.memory.architecture.kv_sharing import cross_layer, owns_cache
from modelscan.memory.architecture.layer_kinds import Kinds, layer_kinds
from modelscan.memory.architecture.recurrent_config import state_from

# Configuration classes with tie_word_embeddings=True by default, which their files omit.
_TIED_BY_DEFAULT = ("gemma", "cohere", "gpt2", "bloom", "falcon", "mpt", "t5", "opt", "starcoder2",
                    "codegen", "mamba", "bert", "roberta", "gpt_bigcode", "lfm2", "vaultgemma",
                    "whisper", "voxtral")  # fmt: skip
# Families whose prediction block stores copies of the embedding and the head.
_OWN_PREDICTION_ENDS = ("deepseek_v3", "deepseek_v32")
_CAUSAL = ("CausalLM", "ConditionalGeneration", "LMHead", "ForGeneration", "Thinker")
MAX_SIZE = 1 << 20
_MAX_LAYERS, _MAX_PREDICTION_LAYERS = 2048, 64
_ATTENDING = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED)


class ConfigError(UsageError):
    """config.json lacks what an estimate needs."""

    default_code = "config"


def from_config(config: Mapping[str, Any]) -> Architecture:
    """The architecture a config.json describes. Raises ConfigError if a basic size is missing."""
    return read(config)[0]


def read(config: Mapping[str, Any]) -> tuple[Architecture, ConfigFields]:
    """The architecture, and the fields, which list the keys that were looked up for it.

    Raises ConfigError if a basic size is missing.
    """
    config = as_decoder(config)
    fields = text_fields(config)
    count = _layer_count(fields)
    hidden = _required(fields, "hidden_size", "n_embd", "n_embed", "d_model", "dim", "model_dim")
    for name in ("word_embed_proj_dim", "embedding_size"):
        if fields.inner.get(name) == hidden:
            fields.settled(name)  # no projection after the embedding
    kinds = layer_kinds(fields, count)
    latent, vision = latent_of(fields), vision_fields(config)
    experts = experts_of(fields)
    layers = tuple(_layer(fields, i, hidden, kinds, latent, experts) for i in range(count))
    encoder = _encoder_only(fields)
    architecture = Architecture(
        name=fields.text("model_type") or _class_name(fields),
        layers=doubled(layers) if _double(fields) else layers,
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
        extra=_extra(fields, config, hidden),
        checkpoint=checkpoint_of(config, fields),
    )  # fmt: skip
    notes = _notes(config, fields, kinds)
    return replace(architecture, known=kinds.known and not notes, notes=notes), fields


def _layer_count(fields: ConfigFields) -> int:
    """Number of decoder layers. LongCat's classes count each as two: it has two attentions."""
    names: tuple[str, ...] = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth",
             "num_decoder_layers")  # fmt: skip
    if _double(fields):
        fields.settled(*names)
        names = ("num_layers", *names)
    return _required(fields, *names, listed="layers_block_type", largest=_MAX_LAYERS)


def _double(fields: ConfigFields) -> bool:
    """Whether a decoder layer has two attentions and two dense parts, one with the experts."""
    return fields.number("zero_expert_num") is not None and bool(fields.number("num_layers"))


def doubled(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """Each layer as two blocks, the second without the experts."""
    pairs = ((layer, replace(layer, moe=False)) for layer in layers)
    return tuple(block for pair in pairs for block in pair)


def _required(
    fields: ConfigFields, *names: str, listed: str | None = None, largest: int = MAX_SIZE
) -> int:
    value = fields.number(*names)
    if not value and listed:
        value = len(fields.items(listed))
    if value and value > largest:
        raise ConfigError(f"config.json claims {value} for {names[0]}")
    if not value or value < 0:
        raise ConfigError(
            f"config.json has no {names[0]}",
            hint="is it a language model's config? a tokenizer's or an adapter's is not",
        )
    return value


def _class_name(fields: ConfigFields) -> str:
    classes = fields.items("architectures")
    return str(classes[0]) if classes else "unknown"


def _context(fields: ConfigFields) -> int | None:
    """The trained length, or the length that a YaRN setting in the config makes of it."""
    trained = fields.number(*POSITIONS)
    scaled = scaled_context(fields)
    return max(trained, scaled) if trained and scaled else trained


def _tied(fields: ConfigFields, config: Mapping[str, Any]) -> bool:
    stated = fields.flag("tie_word_embeddings", "share_embeddings_and_output_weights")
    if stated is not None:
        return stated
    kind = fields.text("model_type") or str(config.get("model_type") or "")
    return any(word in kind for word in _TIED_BY_DEFAULT)


def _prediction_layers(fields: ConfigFields) -> int:
    """Number of stored prediction blocks; MiniMax lists modules that its checkpoints lack."""
    count = fields.number("num_nextn_predict_layers", "mtp_num_hidden_layers") or 0
    if count > _MAX_PREDICTION_LAYERS:
        raise ConfigError(f"config.json claims {count} prediction layers")
    return 0 if fields.number("num_mtp_modules") else count


def _encoder_only(fields: ConfigFields) -> bool:
    classes = " ".join(str(name) for name in fields.items("architectures"))
    if any(word in classes for word in _CAUSAL) or fields.flag("is_decoder"):
        return False
    encoder = fields.get("type_vocab_size", "position_embedding_type", "classifier_pooling")
    causal = fields.flag("is_causal", "causal")
    return encoder is not None or causal is False


def _layer(
    fields: ConfigFields, index: int, hidden: int, kinds: Kinds, latent: Latent | None,
    experts: Experts | None,
) -> Layer:  # fmt: skip
    kind = kinds.kinds[index] if index < len(kinds.kinds) else Attention.FULL
    state = state_from(fields, kind, hidden)
    dense, moe = feed_forward(fields, index, hidden, kinds, experts)
    if kind not in _ATTENDING:
        return Layer(kind, owns_cache=False, state=state, feed_forward=dense, moe=moe)
    heads, kv_heads, key, value = heads_of(fields, index, hidden, kind)
    if latent and caches_latent(fields):
        kind, kv_heads = Attention.MLA, 1
        key = value = latent.kv_lora_rank + latent.rope_length
    elif latent:
        kv_heads, key = heads, (latent.nope_length or 0) + latent.rope_length
        value = key
    window = kinds.window_tokens if kind in (Attention.SLIDING, Attention.CHUNKED) else None
    if window and window >= (_context(fields) or window + 1):
        window = None  # the whole context fits the window
    return Layer(
        attention=kind if window or kind in (Attention.FULL, Attention.MLA) else Attention.FULL,
        heads=heads,
        kv_heads=kv_heads,
        key_length=key,
        value_length=value,
        window_tokens=window,
        owns_cache=owns_cache(fields, index, len(kinds.kinds)),
        state=state,
        feed_forward=dense,
        moe=moe,
        borrows_index=_borrows_index(fields, index),
    )


def _borrows_index(fields: ConfigFields, index: int) -> bool:
    """GLM-5.2: ``indexer_types`` names the layers that share an earlier one's indexer."""
    kinds = fields.items("indexer_types")
    return index < len(kinds) and kinds[index] == "shared"


def _extra(
    fields: ConfigFields, config: Mapping[str, Any], hidden: int
) -> dict[str, int | float | str | bool]:
    """``Architecture.extra``: values used for parameter counts or by single engines only."""
    extra: dict[str, int | float | str | bool] = {}
    for name, keys in {
        "per_layer_embedding": ("hidden_size_per_layer_input",),
        "per_layer_vocabulary": ("vocab_size_per_layer_input",),
        "indexer_key_length": ("index_head_dim",),
        "indexer_heads": ("index_n_heads",),
        "query_rank": ("share_q_dim",),
        "moe_latent": ("moe_latent_size", "routed_expert_hidden_size"),
        "positions": ("max_position_embeddings",) if _encoder_only(fields) else (),
        "token_types": ("type_vocab_size",),
    }.items():
        number = fields.number(*keys) if keys else None
        if number:
            extra[name] = number
    for name, flag in {
        "attention_gate": fields.flag("attn_output_gate", "attention_output_gate"),
        "latent_gate": fields.flag("mla_use_output_gate"),
        "k_eq_v": fields.flag("attention_k_eq_v"),
        "attention_bias": fields.flag("attention_bias", "qkv_bias", "use_bias"),
        "full_rank_gate": fields.table("linear_attn_config").get("use_full_rank_gate"),
    }.items():
        if flag:
            extra[name] = True
    count, width = second_experts(fields)
    if count and width:
        extra.update({"second_experts": count, "second_expert_width": width})
    if cross_layer(fields):
        extra["cross_layer"] = True
    if fields.text("model_type") in _OWN_PREDICTION_ENDS:
        extra["mtp_own_ends"] = True
    if "next" in fields.text("model_type") and fields.number("linear_num_value_heads"):
        extra["attention_gate"] = True  # Qwen3-Next: double width of q_proj, not in config.json
    rope = fields.table("rope_parameters", "rope_scaling")
    partial = fields.get("partial_rotary_factor", "rotary_pct") or rope.get("partial_rotary_factor")
    if isinstance(partial, (int, float)) and 0 < partial <= 1:
        extra["partial_rotary_factor"] = float(partial)
    if rope.get("mrope_section"):
        extra["m_rope"] = True
    if audio_fields(config) is not None:
        extra["audio"] = True
    return {**extra, **engine_extras(fields, config)}


def _notes(config: Mapping[str, Any], fields: ConfigFields, kinds: Kinds) -> tuple[str, ...]:
    notes = list(kinds.notes)
    if is_encoder_decoder(config):
        notes.append(CACHE_NOTE)
    if fields.items("compress_ratios"):
        notes.append("no formula covers the compression of the cache: the estimate is a range")
    if fields.flag(PARTIAL):
        notes.append(
            "which layers attend to a window only is not known: counted as attending to the whole "
            "context, the estimate is a range"
        )
    notes += (mixed_note(names, fields) for names in sorted(fields.mixed))
    unread = unread_keys(config, fields)
    if unread:
        notes.append(unread_note(unread))
    return tuple(notes)
