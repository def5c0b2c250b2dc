"""What llmfit's list says of a model's layers, as far as its class leaves nothing else open.

The list has the sizes and the class (``model_type``), not which layer attends how. Only classes are
taken whose sizes these fields describe completely; compared with the config.json files of
aiconfigurator-core no field of those is wrong in any of them (``tests/catalog``). Latent attention,
recurrent layers, encoders and audio are left out: there the same fields mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.architecture import PARTIAL

# Every layer of these attends to the whole context: their transformers class has nothing else, or
# (Qwen2) a window that is off unless the file turns it on.
ATTEND_FULLY = frozenset({
    "llama", "qwen2", "qwen3", "qwen3_moe", "granite", "granitemoe", "olmo", "olmo2", "gemma",
    "stablelm", "glm", "glm4", "internlm2", "smollm3",
})  # fmt: skip
# Some layers may have a window that is not in the list: full attention is the upper bound.
MAY_SLIDE = frozenset({
    "mistral", "mixtral", "phi3", "gemma2", "gemma3_text", "olmo3", "gpt_oss", "glm4_moe",
    "minicpm", "cohere", "cohere2", "exaone4", "seed_oss", "ministral3",
})  # fmt: skip
# A language model and a vision tower of which only the parameters are known.
SEE = {
    "gemma3": "gemma3_text", "qwen2_vl": "qwen2_vl", "qwen2_5_vl": "qwen2_5_vl",
    "qwen3_vl": "qwen3_vl", "qwen3_vl_moe": "qwen3_vl_moe", "mistral3": "mistral3",
    "glm4v": "glm4",
}  # fmt: skip
# Every fourth layer attends fully, the others are gated delta nets with the same sizes in all of
# these classes: the list says the rest.
GATED_DELTA = {
    "qwen3_5": "qwen3_5_text", "qwen3_5_text": "qwen3_5_text", "qwen3_next": "qwen3_next",
    "qwen3_5_moe": "qwen3_5_moe_text", "qwen3_5_moe_text": "qwen3_5_moe_text",
}  # fmt: skip
_GEMMA_3 = 131_072
_NO_CONTEXT = 4096  # what the list says where a config states none
_SIZES = (
    "num_hidden_layers", "hidden_size", "vocab_size", "num_attention_heads",
    "num_key_value_heads", "head_dim",
)  # fmt: skip


def config_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row's sizes under the names of config.json; None where one is missing or the class is."""
    kind = row.get("architecture")
    seen = ATTEND_FULLY | MAY_SLIDE | SEE.keys() | GATED_DELTA.keys()
    if kind not in seen or any(not row.get(name) for name in _SIZES):
        return None
    width = row.get("moe_intermediate_size")  # of an expert, or of a dense model's feed-forward
    if not width:
        return None
    config = {name: row[name] for name in _SIZES}
    config["model_type"] = GATED_DELTA.get(str(kind)) or SEE.get(str(kind), kind)
    if row.get("num_experts"):
        config |= {
            "num_experts": row["num_experts"],
            "num_experts_per_tok": row.get("active_experts"),
            "moe_intermediate_size": width,
            "shared_expert_intermediate_size": row.get("shared_expert_intermediate_size"),
        }
    else:
        config["intermediate_size"] = width
    if row.get("context_length") != _NO_CONTEXT:
        config["max_position_embeddings"] = _trained(row)
    if kind in SEE:
        config["vision_config"] = {}
    if kind in GATED_DELTA:
        config |= gated_delta(row["num_attention_heads"])
    elif kind not in ATTEND_FULLY:
        config[PARTIAL] = True
    return {name: value for name, value in config.items() if value is not None}


def gated_delta(heads: int) -> dict[str, Any]:
    """What Qwen3-Next, Qwen3.5, 3.6 and 3.8 have in common, by their number of attention heads.

    Equal to all nine config.json files at hand; ``attn_output_gate`` is stated by no list.
    """
    return {
        "full_attention_interval": 4,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 2 * heads,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_conv_kernel_dim": 4,
        "attn_output_gate": True,
    }


def _trained(row: Mapping[str, Any]) -> Any:
    """The context without Gemma 3's linear scaling of positions (8), by which the list multiplies:
    the model was trained for 131,072 tokens with it.
    """
    context = row.get("context_length")
    return _GEMMA_3 if row.get("architecture") == "gemma3" and context == 8 * _GEMMA_3 else context


def context_of(row: Mapping[str, Any]) -> int | None:
    """``max_position_embeddings``, where the row has sizes, i.e. where the list read a config.json.

    A row without sizes has a default or a guess.
    """
    context = _trained(row)
    has_sizes = row.get("num_hidden_layers") and row.get("hidden_size")
    known = isinstance(context, int) and context > 256 and context != _NO_CONTEXT
    return context if has_sizes and known else None
