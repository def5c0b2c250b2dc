"""Facts that a model's config.json states: context, input modalities, active parameters. Pure.

Only names of fields are read; the engines' sizes are computed in ``memory``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.core.foreign import mapping, whole

SOURCE = "config.json"
_CONTEXT = ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length",
            "max_seq_len", "n_ctx")  # fmt: skip
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_ACTIVE = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size")
_PREDICTING = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules")
_LEAST_CONTEXT = 256  # below, a field counts something else (patches, frames)
_TEXT_CLASSES = frozenset(
    (
        *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_next"),
        *("gemma", "gemma2", "gemma3_text", "phi", "phi3", "olmo", "olmo2", "olmo3", "granite"),
        *("granitemoe", "granitemoehybrid", "deepseek_v2", "deepseek_v3", "deepseek_v32", "glm"),
        *("glm4", "glm4_moe", "gpt_oss", "minimax", "minimax_m2", "kimi_k2", "exaone4", "cohere"),
        *("cohere2", "falcon", "falcon_h1", "smollm3", "starcoder2", "stablelm", "internlm2"),
        *("mamba", "mamba2", "nemotron", "nemotron_h", "seed_oss", "ernie4_5", "ernie4_5_moe"),
        *("bailing_moe", "hunyuan_v1_dense", "hunyuan_v1_moe", "lfm2", "lfm2_moe", "gpt2", "opt"),
    )
)
_INPUTS = (("vision_config", "image"), ("audio_config", "audio"))


def stated(config: Mapping[str, Any], parameters: int | None) -> dict[str, Any]:
    """The facts by ``Model`` field. ``parameters``: the model's counted or nominal parameters, None
    if no active parameters may be computed.
    """
    text = _text_part(config)
    facts: dict[str, Any] = {"limits.context_tokens": context_tokens(text)}
    if isinstance(config.get("vision_config"), Mapping):
        facts["capabilities.vision"] = True
    facts["active_parameters"] = active_parameters(text, parameters)
    return {name: value for name, value in facts.items() if value is not None}


def inputs(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The input modalities for which the config has an encoder, besides text."""
    return tuple(kind for name, kind in _INPUTS if isinstance(config.get(name), Mapping))


def reads_only_text(config: Mapping[str, Any]) -> bool:
    """True for classes that have no encoder for images or audio, in a config without one."""
    has_encoder = any(isinstance(config.get(name), Mapping) for name, _ in _INPUTS)
    return config.get("model_type") in _TEXT_CLASSES and not has_encoder


def context_tokens(text: Mapping[str, Any]) -> int | None:
    """The trained context in tokens; None if the config does not state it."""
    value = _first(text, _CONTEXT)
    return value if value is not None and value >= _LEAST_CONTEXT else None


def active_parameters(text: Mapping[str, Any], parameters: int | None) -> int | None:
    """Parameters used per token: all, less the experts that a token does not use.

    An expert has three matrices of hidden size x its width. A hub counts prediction layers too,
    which have experts and are not used; other towers may be in the count. So what is not in experts
    must be near the size of attention, embeddings and shared parts; else the answer is None, as it
    is without experts or with a size unknown.
    """
    experts, active = _first(text, _EXPERTS), _first(text, _ACTIVE)
    width, hidden = _first(text, _EXPERT_WIDTH), whole(text.get("hidden_size"))
    layers = _expert_layers(text)
    if not (experts and active and width and hidden and layers and parameters):
        return None
    expert = 3 * hidden * width
    rest = _besides_experts(text, hidden, expert * layers)
    extra = (_first(text, _PREDICTING) or 0) * experts * expert
    used: int = min(
        (parameters - unused - layers * (experts - active) * expert for unused in (0, extra)),
        key=lambda count: abs(count - layers * active * expert - rest),
    )
    difference = abs(used - layers * active * expert - rest)
    return used if active < experts and 0 < used < parameters and difference < used / 4 else None


def _besides_experts(text: Mapping[str, Any], hidden: int, of_one_expert: int) -> int:
    """About the parameters of attention, embeddings, dense layers and shared experts."""
    layers = whole(text.get("num_hidden_layers")) or 0
    embeddings = 2 * (whole(text.get("vocab_size")) or 0) * hidden
    dense = _first(text, ("first_k_dense_replace", "num_dense_layers")) or 0
    feed_forward = dense * 3 * hidden * (whole(text.get("intermediate_size")) or 0)
    shared = (_first(text, ("n_shared_experts", "num_shared_experts")) or 0) * of_one_expert
    return layers * 4 * hidden * hidden + embeddings + feed_forward + shared


def _expert_layers(text: Mapping[str, Any]) -> int | None:
    """The number of layers with experts."""
    layers = whole(text.get("num_hidden_layers"))
    kinds = text.get("mlp_layer_types")
    if isinstance(kinds, (list, tuple)) and kinds:
        return sum(bool(kind == "sparse") for kind in kinds)
    frequency = text.get("moe_layer_freq")
    if isinstance(frequency, (list, tuple)):
        return sum(bool(value) for value in frequency)
    if layers is None:
        return None
    step = _first(text, ("interleave_moe_layer_step", "decoder_sparse_step")) or 1
    dense = _first(text, ("first_k_dense_replace", "num_dense_layers")) or 0
    return int(layers - dense) // step


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in ("text_config", "llm_config", "language_config", "thinker_config"):
        part = mapping(config.get(name))
        if part:
            return (
                {**config, **_text_part(part)} if name == "thinker_config" else {**config, **part}
            )
    return config


def _first(text: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((value for name in names if (value := whole(text.get(name)))), None)
