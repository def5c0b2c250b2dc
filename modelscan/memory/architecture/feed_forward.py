"""Feed-forward blocks from config.json: dense widths, experts, and which block has which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import Attention, Experts
from modelscan.memory.architecture.config_fields import ConfigFields, ratio, whole
from modelscan.memory.architecture.layer_kinds import Kinds

_MIXERS = frozenset({"-", "e", "moe", "mlp"})  # blocks with a feed-forward only
# Families without a gate whose config.json states no activation.
_PLAIN = ("falcon", "refinedweb", "bloom", "mpt", "gpt2", "gpt_neox", "gptj", "gpt_bigcode",
          "codegen", "opt", "xglm", "biogpt", "persimmon", "fuyu", "starcoder2")  # fmt: skip
# Families gated with GELU (or with a squared ReLU): the activation's name does not state the gate.
_GATED_GELU = ("gemma", "modernbert", "grok")
_GATED = ("gte", "new", "bitnet")
# Families whose ``intermediate_size`` is the sum of the gate's and the up matrix's widths.
_HALVED = ("qwen", "recurrent_gemma")
_DENSE_NAMES = ("dense_intermediate_size", "intermediate_size_mlp", "intermediate_size",
                "ffn_hidden_size", "ffn_dim", "n_inner", "d_ff", "ffn_intermediate_size",
                "feed_forward_length", "encoder_ffn_dim")  # fmt: skip
_COUNT_NAMES = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts",
                "n_experts", "num_routed_experts")  # fmt: skip
_WIDTH_NAMES = ("moe_intermediate_size", "expert_intermediate_size", "moe_ffn_hidden_size",
                "expert_ffn_hidden_size", "moe_expert_ffn_hidden_size")  # fmt: skip
_WHICH_NAMES = ("mlp_only_layers", "mlp_layer_types", "moe_layers", "moe_layer_indices",
                "moe_layers_enum", "moe_layer_freq", "first_k_dense_replace", "num_dense_layers",
                "moe_layer_start_index", "moe_layer_end_index", "first_moe_layer",
                "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval",
                "moe_layer_frequency", "expert_layer_period",
                "expert_layer_offset")  # fmt: skip


def gated(fields: ConfigFields) -> bool:
    """Whether feed-forwards have a gate: SwiGLU and its variants do; plain GELU and ReLU do not."""
    stated = fields.flag("gated_mlp", "use_gated_mlp", "mlp_gated")
    if stated is not None:
        return stated
    if fields.text("mlp_type") == "gated":  # StarCoder2; the other value is "default"
        return True
    activation = fields.text("mlp_hidden_act", "hidden_act", "activation_function", "ffn_act",
                             "hidden_activation", "afn", "activation").lower()  # fmt: skip
    activation = activation or str(fields.table("ffn_act_fn").get("name") or "").lower()
    kind = fields.text("ffn_type", "feed_forward_type").lower() or activation
    if any(word in kind for word in ("silu", "swiglu", "swish", "glu", "situ")):
        return True
    family = fields.text("model_type").lower()
    if family in _GATED:
        return True
    if kind in ("mptmlp", "original") or (not kind and family.startswith(_PLAIN)):
        return False
    if "gelu" in kind and (residual_experts(fields) or any(f in family for f in _GATED_GELU)):
        return True
    return not kind


def residual_experts(fields: ConfigFields) -> bool:
    """Whether blocks have a dense part in addition to experts: Grok 2, Arctic, Gemma 4, LongCat."""
    return bool(
        fields.flag("residual_moe") or fields.flag("enable_moe_block")
        or fields.number("zero_expert_num") is not None
        or (fields.flag("parallel_attn_mlp_res") and fields.flag("use_residual") is not False)
    )  # fmt: skip


def experts(fields: ConfigFields) -> Experts | None:
    """The routed experts; None for a dense model.

    Of lists with one value per modality (ERNIE-VL) this is the text's, the first.
    """
    total = _first(fields, *_COUNT_NAMES)
    active = fields.number("num_experts_per_tok", "num_experts_per_token", "experts_per_token",
                           "top_k_experts", "moe_topk", "moe_k", "num_selected_experts",
                           "moe_router_topk", "moe_top_k", "top_k") or 1  # fmt: skip
    if fields.flag("enable_moe_block") is False:
        fields.settled(*_WIDTH_NAMES)
        return None
    if not total or total < 2:
        return None
    width = _first(fields, *_WIDTH_NAMES) or _first(fields, "intermediate_size",
                                                    "ffn_hidden_size") or 0  # fmt: skip
    shared, shared_width = _shared(fields, width)
    return Experts(total, active, width, shared, shared_width, gated(fields))


def second_experts(fields: ConfigFields) -> tuple[int, int]:
    """Number and width of the second modality's experts; (0, 0) if there is one set for all."""
    counts = fields.items(*_COUNT_NAMES)
    widths = fields.items(*_WIDTH_NAMES)
    if len(counts) != 2 and len(widths) != 2:
        return 0, 0
    count = whole(counts[1]) if len(counts) == 2 else _first(fields, *_COUNT_NAMES)
    width = whole(widths[1]) if len(widths) == 2 else _first(fields, *_WIDTH_NAMES)
    return count or 0, width or 0


def _first(fields: ConfigFields, *names: str) -> int | None:
    """A number; of a list with one value per modality, the first: the text's."""
    listed = fields.items(*names)
    return whole(listed[0]) if len(listed) == 2 else fields.number(*names)


def _shared(fields: ConfigFields, width: int) -> tuple[int, int]:
    """Number of shared experts, and their total width."""
    fields.settled("use_mixed_mlp_moe")  # Hunyuan: whether the shared experts exist
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
    fields: ConfigFields, index: int, hidden: int, kinds: Kinds, experts: Experts | None
) -> tuple[int, bool]:
    """The dense width of block ``index`` (0: none), and whether it has routed experts."""
    fields.settled(*_DENSE_NAMES, "mamba_use_mlp", "mlp_expansion_factor")
    if set(kinds.kinds) == {Attention.SSM} and not kinds.words:
        return 0, False  # Mamba: intermediate_size is the width of the state
    if _MIXERS & set(kinds.words):
        word = kinds.words[index]  # one mixer per block; a feed-forward is one kind
        dense = _dense_width(fields, index, hidden) if word in ("-", "mlp") else 0
        return dense, word in ("e", "moe") and experts is not None
    fields.settled(*_WHICH_NAMES)  # the first that is present decides
    moe = experts is not None and _is_moe(fields, index)
    if moe and fields.flag("parallel_attn_mlp_res") and residual_experts(fields):
        return hidden, True  # Arctic: the residual part is as wide as the model
    both = residual_experts(fields)
    dense = _dense_width(fields, index, hidden)
    return (dense if both or not moe else 0), moe


def _is_moe(fields: ConfigFields, index: int) -> bool:
    if index in fields.items("mlp_only_layers"):
        return False
    types = fields.items("mlp_layer_types")
    if types:
        return index < len(types) and str(types[index]) in ("sparse", "moe")
    listed = fields.items("moe_layers", "moe_layer_indices")
    if listed:
        return index in listed
    numbers = fields.text("moe_layers_enum")
    if numbers:
        return str(index) in numbers.split(",")
    frequency = fields.get("moe_layer_freq")
    if isinstance(frequency, (list, tuple)):
        return index < len(frequency) and bool(frequency[index])
    end = _first(fields, "moe_layer_end_index")
    if end is not None and index > end:
        return False
    frequency = fields.number("moe_layer_frequency")
    if frequency:  # Arctic
        return (index + 1) % frequency == 0
    lead = _first(fields, "first_k_dense_replace", "num_dense_layers", "moe_layer_start_index",
                  "first_moe_layer") or 0  # fmt: skip
    step = fields.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq",
                         "moe_layer_interval") or 1  # fmt: skip
    period = fields.number("expert_layer_period")
    if period:
        return index % period == (fields.number("expert_layer_offset") or 0)
    if fields.number("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval"):
        return index >= lead and (index + 1) % max(1, step) == 0
    return index >= lead and index % max(1, step) == 0


def _dense_width(fields: ConfigFields, index: int, hidden: int) -> int:
    block = fields.entry("block_configs", index)
    if block:
        ffn = block.get("ffn")
        return _block_width(ffn if isinstance(ffn, Mapping) else {}, hidden)
    width = fields.at(index, *_DENSE_NAMES)
    expansion = fields.get("expansion_ratio", "ffn_expansion_ratio", "mlp_ratio")
    width = width or round(ratio(expansion, 4) * hidden)
    if fields.text("model_type") in _HALVED:
        width //= 2
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
