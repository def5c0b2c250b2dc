"""Attention heads and their sizes from config.json: per layer, kind of layer, or latent."""

from __future__ import annotations

from collections.abc import Mapping

from modelscan.core.architecture import Attention, Latent
from modelscan.memory.architecture.config_fields import ConfigFields, whole

_LATENT = ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")


def latent_of(fields: ConfigFields) -> Latent | None:
    """The ranks and lengths of MLA; None where keys and values are projected directly."""
    rank = fields.number("kv_lora_rank")
    if not rank:
        return None
    rope = fields.number("qk_rope_head_dim") or 0
    nope = fields.number("qk_nope_head_dim")
    heads = fields.number("num_attention_heads") or 1
    value = fields.number("v_head_dim") or (fields.number("hidden_size") or 0) // heads
    return Latent(
        kv_lora_rank=rank,
        rope_length=rope,
        q_lora_rank=fields.number("q_lora_rank") or None,
        nope_length=nope,
        value_length=value or None,
    )


def caches_latent(fields: ConfigFields) -> bool:
    """Whether engines cache the latent itself: only if all four fields of DeepSeek's MLA are set.

    MiniCPM3 omits ``v_head_dim``; engines cache every head, with values padded to the key length.
    """
    return all(fields.number(name) for name in _LATENT)


def heads_of(
    fields: ConfigFields, index: int, hidden: int, kind: Attention
) -> tuple[int, int, int, int]:
    """(heads, KV heads, key length, value length) of layer ``index``, which attends as ``kind``."""
    heads = fields.at(index, "num_attention_heads", "n_head", "n_heads", "num_heads") or 1
    kv_heads = fields.at(index, "num_key_value_heads", "n_kv_heads", "num_kv_heads", "n_head_kv",
                         "kv_n_heads", "multi_query_group_num", "num_query_groups",
                         "num_attention_groups")  # fmt: skip
    if _one_kv_head(fields, kv_heads):
        kv_heads = 1
    kv_heads = _grouped(fields, index, heads) or kv_heads
    key = fields.at(index, "head_dim", "attention_head_dim", "kv_channels", "d_kv",
                    "head_size") or hidden // heads  # fmt: skip
    value = fields.at(index, "v_head_dim", "value_head_dim") or key
    kv_heads = heads if kv_heads is None else kv_heads
    return _by_kind(fields, kind, heads, kv_heads, key, value)


def _grouped(fields: ConfigFields, index: int, heads: int) -> int | None:
    """KV heads of a layer that states its own group size (Nemotron's ``block_configs``)."""
    attention = fields.entry("block_configs", index).get("attention")
    group = attention.get("n_heads_in_group") if isinstance(attention, Mapping) else None
    size = whole(group)
    return heads // size if size else None


def _one_kv_head(fields: ConfigFields, kv_heads: int | None) -> bool:
    """Whether there is one KV head: multi-query attention. Falcon 7B ignores ``num_kv_heads``."""
    if fields.text("attn_type") == "multiquery_attention":  # MPT
        return True
    new = fields.flag("new_decoder_architecture")
    if fields.flag("multi_query"):
        return kv_heads is None or not new
    return bool(fields.flag("multi_query_attention")) and kv_heads is None


def _by_kind(
    fields: ConfigFields, kind: Attention, heads: int, kv_heads: int, key: int, value: int
) -> tuple[int, int, int, int]:
    """Sliding and full layers may differ in heads and sizes (MiMo: swa_*; Gemma 4: global_*)."""
    if kind is Attention.SLIDING:
        heads = fields.number("swa_num_attention_heads") or heads
        kv_heads = fields.number("swa_num_key_value_heads") or kv_heads
        key = fields.number("swa_head_dim") or key
        value = fields.number("swa_v_head_dim") or value
        other = fields.table("attention_other_setting")
        if other:  # Step: head counts of sliding layers
            heads = whole(other.get("num_attention_heads")) or heads
            kv_heads = whole(other.get("num_attention_groups")) or kv_heads
    elif kind is Attention.FULL and fields.number("global_head_dim"):
        key = value = fields.number("global_head_dim") or key
        if fields.flag("attention_k_eq_v"):
            kv_heads = fields.number("num_global_key_value_heads") or kv_heads
    return heads, kv_heads, key, value
