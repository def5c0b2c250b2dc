"""Keys of a config.json that no reader looked up and that are not known to be harmless.

Any of them may change shapes, cache or weights, so an estimate that ignores one is a range.
``ConfigFields.names`` collects the keys that readers look up; the harmless ones come from the
configuration classes of transformers (``harmless_keys``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.memory.architecture.config_fields import (
    AUDIO_KEYS,
    TEXT_KEYS,
    VISION_KEYS,
    ConfigFields,
    first_table,
)
from modelscan.memory.architecture.harmless_keys import HARMLESS, TOWERS

# Words in keys that concern training, sampling, tokens, labels, numerics or kernels only.
HARMLESS_WORDS = re.compile(
    r"dropout|(^|_)(pdrop|droppath|eps|epsilon|seed|jitter|theta|temperature|softcap|penalty)(_|$)"
    r"|softcapping|drop_rate|layerdrop|token_i(d|ds|ndex)$|(^|_)(initializer|init)(_|$)"
    r"|(^|_)loss(es)?(_|$)|ignore_index$|_implementation(_|$)|_placeholder$|(^|_)time_step_"
    r"|^output_(attentions|hidden_states|router_logits|scores|past)$|^return_|^summary_"
    r"|^classifier_(bias|activation|pooling)|(^|_)(coef|coeff)$|aux_loss|_in_fp32$|^use_(\w+_)?kernels$"
    r"|(^|_)(embedding|residual|attention|logits?|ssm|lm_head|key|mlp)_multipliers?$"
    r"|^rope_|^rotary_|(^|_)id$|(^|_)fused?_|_fusion$|recompute"
)
_COMPONENTS = frozenset((*VISION_KEYS, *AUDIO_KEYS))
# Tables that are read as a whole, with the keys that their readers use.
_TABLES = {
    "linear_attn_config": frozenset(
        {"kda_layers", "full_attn_layers", "num_heads", "head_dim", "short_conv_kernel_size",
         "use_full_rank_gate", "gate_lower_bound"}
    ),
    "attention_other_setting": frozenset(
        {"attention_type", "num_attention_heads", "num_attention_groups", "head_dim",
         "true_head_dim"}
    ),
    "sparse_attention_config": frozenset(
        {"use_sparse_attention", "sparse_attention_freq", "sparse_block_size", "sparse_index_dim",
         "sparse_init_block", "sparse_local_block", "sparse_num_index_heads", "sparse_score_type",
         "sparse_topk_blocks", "sparse_disable_index_value"}
    ),
    "img_token_compression_config": frozenset(
        {"image_token_compression_method", "spatial_merge_size", "temporal_patch_size"}
    ),
}  # fmt: skip
# Harmless while they are off: additional encoders, absent blocks.
_HARMLESS_OFF = frozenset(
    {"add_cross_attention", "is_encoder_decoder", "tie_encoder_decoder"}
)  # fmt: skip
_READ_ELSEWHERE = frozenset({"quantization_config", "quantization", "compression_config"})
_MAX_LISTED = 6  # keys listed in a message; the rest are counted


def unread_keys(config: Mapping[str, Any], fields: ConfigFields) -> tuple[str, ...]:
    """Sorted paths such as ``text_config.kv_groups``; null values and empty tables are ignored.

    ``fields`` must be the one that the architecture was read with: it lists the keys in use.
    """
    looked_up = frozenset(name for names in fields.names for name in names)
    return tuple(sorted(set(_unread(config, "", fields, looked_up))))


def unread_note(keys: tuple[str, ...]) -> str:
    """The note of an estimate that lists the unread keys."""
    rest = f" and {len(keys) - _MAX_LISTED} more" if len(keys) > _MAX_LISTED else ""
    listed = ", ".join(keys[:_MAX_LISTED])
    return (
        f"config.json has keys that the estimate does not know: {listed}{rest}; they may change "
        "shapes, cache or weights, so the estimate is a range"
    )


def mixed_note(names: tuple[str, ...], fields: ConfigFields) -> str:
    """The note for a per-layer list where the estimate uses one value for all layers."""
    key = next((name for name in names if isinstance(fields.get(name), (list, tuple))), names[0])
    return f"{key} lists different values: the largest is counted, the estimate is a range"


def _unread(
    table: Mapping[str, Any], prefix: str, fields: ConfigFields, looked_up: frozenset[str]
) -> Iterator[str]:
    part = first_table(table, TEXT_KEYS)
    for key, value in table.items():
        path = f"{prefix}{key}"
        if value is None or value in ({}, [], "") or key in _READ_ELSEWHERE:
            continue
        if isinstance(value, Mapping) and (value is part or value in fields.blocks):
            yield from _unread(value, f"{path}.", fields, looked_up)
        elif isinstance(value, Mapping) and key in _COMPONENTS:
            yield from _of_component(value, f"{path}.")
        elif isinstance(value, Mapping) and key in _TABLES:
            yield from (f"{path}.{name}" for name in value if name not in _TABLES[key])
        elif key not in looked_up and not _harmless(key, value):
            yield path


def _of_component(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """Unread keys of a vision or audio encoder, nested encoders included."""
    for key, value in table.items():
        if isinstance(value, Mapping) and (key in _COMPONENTS or key.endswith("_config")):
            yield from _of_component(value, f"{prefix}{key}.")
        elif value is not None and key not in TOWERS and not _harmless(key, value):
            yield f"{prefix}{key}"


def _harmless(key: str, value: Any) -> bool:
    if key in HARMLESS or HARMLESS_WORDS.search(key):
        return True
    return not value and key in _HARMLESS_OFF
