"""ConfigFields of config.json that only vLLM's and SGLang's memory depends on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.memory.architecture.config_fields import ConfigFields, ratio, vision_fields, whole

Extra = dict[str, int | float | str | bool]

_NOT_ROTARY = ("nope", "none", "alibi", "absolute", "learned_absolute")


def engine_extras(fields: ConfigFields, config: Mapping[str, Any]) -> Extra:
    """Entries for ``Architecture.extra``: rope tables, vision tower, states, block quantization.

    ``rope_linear_factor``: factor by which linear scaling lengthens the cos/sin table.
    ``rope_tables``: number of tables, if local and global layers have different bases.
    ``no_rope``: positions are learned, biases or none. ``logits_soft_cap``: logits are capped.
    """
    extra: Extra = {}
    scalings = list(_scalings(fields))
    linear = [ratio(entry.get("factor"), 1.0) for entry in scalings if _kind(entry) == "linear"]
    if linear:
        extra["rope_linear_factor"] = max(linear)
    if fields.get("rope_local_base_freq") or len(scalings) > 1:
        extra["rope_tables"] = 2
    if fields.flag("alibi") or fields.text("position_embedding_type") in _NOT_ROTARY:
        extra["no_rope"] = True
    if fields.get("final_logit_softcapping"):
        extra["logits_soft_cap"] = True
    tower = vision_fields(config)
    if tower:
        layers = tower.number("num_hidden_layers", "depth", "num_layers", "vt_num_hidden_layers")
        width = tower.number("hidden_size", "embed_dim", "vt_hidden_size")
        extra.update({"vision_layers": layers or 0, "vision_hidden": width or 0})
        extra.update(_patches(tower, fields))
    precision = fields.text("mamba_ssm_dtype", "mamba_ssm_cache_dtype")
    if precision:
        extra["mamba_ssm_dtype"] = precision
    block = fields.table("quantization_config").get("weight_block_size")
    if isinstance(block, (list, tuple)) and block and isinstance(block[0], int):
        extra["weight_block_size"] = block[0]
    if fields.text("expert_dtype") == "fp4":
        extra["expert_dtype"] = "fp4"
    return {**extra, **rope_extras(fields, config)}


def scaled_context(fields: ConfigFields) -> int | None:
    """The length in tokens that a YaRN setting gives; None without one."""
    for entry in _scalings(fields):
        original, factor = entry.get("original_max_position_embeddings"), entry.get("factor")
        if _kind(entry) != "yarn":
            continue
        if isinstance(original, int) and isinstance(factor, (int, float)):
            return whole(original * factor)
    return None


def rope_extras(fields: ConfigFields, config: Mapping[str, Any]) -> Extra:
    """``rope_parameters`` as JSON with the base, and whether the config has a ``text_config``: an
    override of the positions repeats them.
    """
    settings = fields.table("rope_parameters", "rope_scaling")
    if any(isinstance(value, Mapping) for value in settings.values()):
        return {}  # one per kind of layer
    theta = settings.get("rope_theta") or fields.get("rope_theta")
    stated = {**settings, "rope_theta": theta} if theta else dict(settings)
    extra: Extra = {"rope_parameters": json.dumps(stated)} if stated else {}
    if isinstance(config.get("text_config"), Mapping):
        extra["text_config"] = True
    return extra


def _patches(tower: ConfigFields, fields: ConfigFields) -> Extra:
    """What one patch of a tower that takes images at their own resolution needs (Qwen's: patches
    of several frames, merged before the language model); nothing for other towers.
    """
    frames, merge = tower.number("temporal_patch_size"), tower.number("spatial_merge_size")
    if not frames or not merge or "qwen" not in fields.text("model_type"):
        return {}
    patch = tower.number("patch_size", "spatial_patch_size") or 14
    width = tower.number("embed_dim", "hidden_size") or 0
    inner = tower.number("intermediate_size") or round(ratio(tower.get("mlp_ratio"), 4) * width)
    gated = "silu" in tower.text("hidden_act")
    windows = bool(tower.items("fullatt_block_indexes"))
    return {
        "vision_merge": merge,
        "vision_patch_values": 3 * frames * patch * patch + (3 + windows) * width,
        "vision_patch_wide": (3 if gated else 2) * inner,
        "vision_video_frames": 0 if "deepstack_visual_indexes" in tower.inner else frames,
    }


def _scalings(fields: ConfigFields) -> Iterator[Mapping[str, Any]]:
    """The rope settings: one, or one per kind of layer."""
    settings = fields.table("rope_parameters", "rope_scaling")
    nested = [value for value in settings.values() if isinstance(value, Mapping)]
    yield from nested or [settings]


def _kind(scaling: Mapping[str, Any]) -> str:
    return str(scaling.get("rope_type") or scaling.get("type") or "")
