"""Recurrent state sizes from config.json: gated delta net, KDA, Mamba, short convolution."""

from __future__ import annotations

from modelscan.core.architecture import Attention, RecurrentState
from modelscan.memory.architecture.config_fields import ConfigFields, whole


def state_from(fields: ConfigFields, kind: Attention, hidden: int) -> RecurrentState | None:
    """The recurrent state of a layer of this kind; None without one.

    Falcon-H1's layers with full attention have one as well.

    ``hidden``: the model's width in elements.
    """
    if kind is Attention.LINEAR:
        return _linear(fields)
    if kind is Attention.SSM:
        return _short_convolution(fields, hidden) or _mamba(fields, hidden)
    if kind is Attention.FULL and _parallel_hybrid(fields):
        return _mamba(fields, hidden)
    return None


def _parallel_hybrid(fields: ConfigFields) -> bool:
    """Whether every layer has both (Falcon-H1): Mamba sizes, heads, and no list of layer kinds."""
    listed = fields.get("hybrid_override_pattern", "layers_block_type", "layer_types",
                        "attn_layer_period", "attn_layer_indices", "full_attn_idxs")  # fmt: skip
    return (
        listed is None
        and bool(fields.number("mamba_d_state"))
        and bool(fields.number("num_attention_heads"))
    )


def _linear(fields: ConfigFields) -> RecurrentState | None:
    linear = fields.table("linear_attn_config")
    if linear:  # KDA: one state matrix per head; q, k and v each have a convolution
        heads, size = whole(linear.get("num_heads")) or 0, whole(linear.get("head_dim")) or 0
        kernel = whole(linear.get("short_conv_kernel_size")) or 4
        return RecurrentState(kernel, heads * size, size, heads, heads)
    values = fields.number("linear_num_value_heads")
    if values:
        key = fields.number("linear_key_head_dim") or 0
        value = fields.number("linear_value_head_dim") or key
        keys = fields.number("linear_num_key_heads") or values
        kernel = fields.number("linear_conv_kernel_dim") or 4
        return RecurrentState(kernel, values * value, key, keys, values)
    heads = fields.number("num_attention_heads") or 0
    size = fields.number("head_dim") or 0
    return RecurrentState(1, heads * size, size, heads, heads) if heads and size else None


def _short_convolution(fields: ConfigFields, hidden: int) -> RecurrentState | None:
    cache = fields.number("conv_L_cache", "conv_l_cache")
    return RecurrentState(cache, hidden, 0, 0) if cache else None


def _mamba(fields: ConfigFields, hidden: int) -> RecurrentState | None:
    state = fields.number("ssm_state_size", "mamba_d_state", "state_size", "d_state")
    if not state:
        return None
    kernel = fields.number("conv_kernel", "mamba_d_conv", "d_conv", "conv_kernel_size") or 4
    heads = fields.number("mamba_num_heads", "mamba_n_heads")
    size = fields.number("mamba_head_dim", "mamba_d_head")
    if not heads and not fields.number("num_attention_heads", "n_head"):  # Mamba 2 alone
        heads, size = fields.number("num_heads"), fields.number("head_dim")
    fields.settled("mamba_d_ssm", "intermediate_size", "mamba_expand", "expand", "n_groups")
    inner = heads * size if heads and size else fields.number("mamba_d_ssm", "intermediate_size")
    expand = fields.number("mamba_expand", "expand")
    if not (heads and size) and expand:
        inner = expand * hidden
    groups = fields.number("n_groups", "mamba_n_groups", "mamba_num_groups") if heads else 0
    return RecurrentState(kernel, inner or 2 * hidden, state, groups or (1 if heads else 0), heads)
