"""The feed-forward side of config.json: dense widths, experts, which block has which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import Experts
from modelscan.memory.architecture.config_fields import Fields, whole
from modelscan.memory.architecture.layer_kinds import Kinds

_MIXERS = frozenset({"-", "e", "moe", "mlp"})  # blocks that are a feed-forward and nothing else


def gated(fields: Fields) -> bool:
    """SwiGLU and kin have a gate; plain GELU, ReLU and squared ReLU have none."""
    stated = fields.flag("gated_mlp", "use_gated_mlp", "mlp_gated")
    if stated is not None:
        return stated
    activation = fields.text("mlp_hidden_act", "hidden_act", "activation_function", "ffn_act",
                             "hidden_activation", "afn", "activation").lower()  # fmt: skip
    if any(word in activation for word in ("silu", "swiglu", "swish", "glu", "situ")):
        return True
    family = fields.text("model_type")
    if "gelu" in activation and any(word in family for word in ("gemma", "modernbert", "grok")):
        return True  # GeGLU: the activation's name does not show the gate
    return not activation


def experts(fields: Fields) -> Experts | None:
    total = fields.number("n_routed_experts", "num_local_experts", "num_experts",
                          "moe_num_experts", "n_experts", "num_routed_experts")  # fmt: skip
    if not total or total < 2 or fields.flag("enable_moe_block") is False:
        return None
    width = fields.number("moe_intermediate_size", "expert_intermediate_size",
                          "moe_ffn_hidden_size", "expert_ffn_hidden_size",
                          "moe_expert_ffn_hidden_size",
                          "intermediate_size", "ffn_hidden_size") or 0  # fmt: skip
    shared, shared_width = _shared(fields, width)
    active = fields.number("num_experts_per_tok", "num_experts_per_token", "experts_per_token",
                           "top_k_experts", "moe_topk", "moe_k", "num_selected_experts",
                           "moe_router_topk", "top_k") or 1  # fmt: skip
    return Experts(total, active, width, shared, shared_width, gated(fields))


def _shared(fields: Fields, width: int) -> tuple[int, int]:
    """Shared experts: how many, and the width of all of them together."""
    count = fields.number("n_shared_experts", "num_shared_experts", "num_shared_expert",
                          "moe_num_shared_experts")  # fmt: skip
    each = fields.number("moe_shared_expert_intermediate_size")
    whole = fields.number("shared_expert_intermediate_size", "share_expert_dim",
                          "shared_intermediate_size")  # fmt: skip
    if each:
        return count or 1, each * (count or 1)
    if whole and count != 0:
        return count or 1, whole
    if count:
        return count, width * count
    if "llama4" in fields.text("model_type"):
        return 1, width  # Llama4TextMoe always has one shared expert of an expert's width
    return 0, 0


def feed_forward(
    fields: Fields, index: int, hidden: int, kinds: Kinds, experts: Experts | None
) -> tuple[int, bool]:
    """The dense width of a block (0: none) and whether it has routed experts."""
    if _MIXERS & set(kinds.words):
        word = kinds.words[index]  # one mixer per block, feed-forward being one of them
        dense = _dense_width(fields, index, hidden) if word in ("-", "mlp") else 0
        return dense, word in ("e", "moe") and experts is not None
    moe = experts is not None and _is_moe(fields, index)
    both = bool(fields.flag("enable_moe_block"))  # Gemma 4: a dense part and experts
    return (_dense_width(fields, index, hidden) if both or not moe else 0), moe


def _is_moe(fields: Fields, index: int) -> bool:
    if index in fields.items("mlp_only_layers"):
        return False
    types = fields.items("mlp_layer_types")
    if types:
        return index < len(types) and str(types[index]) in ("sparse", "moe")
    listed = fields.items("moe_layers", "moe_layer_indices")
    if listed:
        return index in listed
    named = fields.text("moe_layers_enum")
    if named:
        return str(index) in named.split(",")
    frequency = fields.get("moe_layer_freq")
    if isinstance(frequency, (list, tuple)):
        return index < len(frequency) and bool(frequency[index])
    lead = fields.number("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index",
                         "first_moe_layer") or 0  # fmt: skip
    step = fields.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq",
                         "moe_layer_interval") or 1  # fmt: skip
    period = fields.number("expert_layer_period")
    if period:
        return index % period == (fields.number("expert_layer_offset") or 0)
    if fields.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval"):
        return index >= lead and (index + 1) % max(1, step) == 0
    return index >= lead and index % max(1, step) == 0


def _dense_width(fields: Fields, index: int, hidden: int) -> int:
    block = fields.entry("block_configs", index)
    if block:
        return _block_width(block.get("ffn") or {}, hidden)
    own = fields.at(index, "dense_intermediate_size", "intermediate_size_mlp", "intermediate_size",
                    "ffn_hidden_size", "ffn_dim", "n_inner", "d_ff", "ffn_intermediate_size",
                    "feed_forward_length", "encoder_ffn_dim")  # fmt: skip
    width = own if own else 4 * hidden
    shared = fields.number("num_kv_shared_layers") or 0
    count = fields.number("num_hidden_layers") or 0
    if fields.flag("use_double_wide_mlp") and shared and index >= count - shared:
        width *= 2
    return width


def _block_width(ffn: Mapping[str, Any], hidden: int) -> int:
    """DeciLM: two thirds of ``ffn_mult`` x hidden, rounded up to 256."""
    if ffn.get("no_op"):
        return 0
    own, multiple = whole(ffn.get("intermediate_size")), ffn.get("ffn_mult")
    if own:
        return own
    if not isinstance(multiple, (int, float)) or not 0 < multiple < 1024:
        return 0
    width = int(2 * multiple * hidden / 3)
    return -(-width // 256) * 256
