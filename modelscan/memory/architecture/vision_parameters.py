"""Parameters of a vision tower and its projector, from vision_config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelscan.memory.architecture.config_fields import (
    ConfigFields,
    audio_fields,
    ratio,
    vision_fields,
)
from modelscan.memory.architecture.encoder_decoder import CROSS_LAYERS, as_decoder

_CONFORMERS = ("gemma4_audio", "gemma3n_audio")
_CLIP_LARGE = 303_507_456  # CLIP ViT-L/14-336, which Phi-3-vision refers to without its sizes


def multimodal_parameters(config: Mapping[str, Any], hidden: int) -> int:
    """Parameters of the vision and audio towers with their projectors; 0 for a text model.

    ``hidden``: width of the language model in elements.
    """
    config = as_decoder(config)
    vision, audio = vision_fields(config), audio_fields(config)
    total = _vision(vision, config, hidden) if vision else 0
    if audio is None:
        return total
    conformer = audio.text("model_type") in _CONFORMERS
    blocks = _conformer(audio) if conformer else _encoder(audio)
    return total + blocks + _audio_ends(audio, hidden)


def _width(fields: ConfigFields) -> int:
    """The tower's width; Qwen2-VL's ``hidden_size`` is the language model's, so it comes second."""
    return fields.number("embed_dim", "hidden_size", "width", "d_model", "vt_hidden_size") or 0


def _feed_forward(fields: ConfigFields) -> int:
    own = fields.number("intermediate_size", "mlp_dim", "encoder_ffn_dim", "vt_intermediate_size",
                        "ffn_dim")  # fmt: skip
    return own or round(ratio(fields.get("mlp_ratio"), 4) * _width(fields))


def _encoder(fields: ConfigFields) -> int:
    """The transformer blocks: attention and feed-forward matrices with their biases."""
    depth = fields.number("depth", "num_hidden_layers", "encoder_layers", "num_layers", "layers",
                          "vt_num_hidden_layers") or 0  # fmt: skip
    width, inner = _width(fields), _feed_forward(fields)
    activation = fields.text("hidden_act", "hidden_activation").lower()
    kind = fields.text("model_type")
    gated = "silu" in activation or "gemma4" in kind or "pixtral" in kind
    each = 4 * width * width + (3 if gated else 2) * width * inner + 9 * width + inner
    return depth * each


def _conformer(fields: ConfigFields) -> int:
    """Blocks of two feed-forwards of four widths, attention with relative keys, and a gated
    convolution: 16 + 5 + 3 squares of the width (transformers: modeling_gemma4.py).
    """
    width = _width(fields)
    kernel = fields.number("conv_kernel_size") or 5
    return (fields.number("num_hidden_layers", "conf_num_hidden_layers") or 0) * (
        24 * width * width + (kernel + 10) * width
    )


def _audio_ends(fields: ConfigFields, hidden: int) -> int:
    width, bins = _width(fields), fields.number("num_mel_bins") or 128
    cross = 4 * hidden * hidden * (fields.number(CROSS_LAYERS) or 0)
    return 3 * width * (bins + width) + width * hidden + cross


def _vision(fields: ConfigFields, config: Mapping[str, Any], hidden: int) -> int:
    stated = fields.number("parameters")  # bundled config: all that is not the language model
    if stated:
        return stated
    width = _width(fields)
    if not width:
        return _CLIP_LARGE + 5 * hidden * hidden // 2 if "clip" in str(fields.inner) else 0
    patch = fields.number("patch_size", "spatial_patch_size") or 14
    frames = fields.number("temporal_patch_size") or 1
    channels = fields.number("in_channels", "in_chans", "num_channels") or 3
    total = _encoder(fields) + channels * patch * patch * frames * width
    total += _positions(fields, patch) * width
    return total + _projector(fields, ConfigFields(config, {}), width, hidden)


def _positions(fields: ConfigFields, patch: int) -> int:
    listed = fields.number("num_position_embeddings", "position_embedding_size")
    if listed:
        return listed * (2 if "gemma4" in fields.text("model_type") else 1)
    if fields.text("model_type") in ("pixtral", "qwen2_5_vl", "qwen2_vl"):
        return 0  # rotary
    image = fields.number("image_size")
    return (image // patch) ** 2 if image and "temporal_patch_size" not in fields.inner else 0


def _projector(fields: ConfigFields, config: ConfigFields, width: int, hidden: int) -> int:
    """Qwen merges 2 x 2 patches through an MLP (one more per deepstack level); others project."""
    merge = fields.number("spatial_merge_size") or config.number("spatial_merge_size") or 1
    merged = width * merge * merge
    if fields.number("out_hidden_size") or "qwen" in fields.text("model_type"):
        levels = 1 + len(fields.items("deepstack_visual_indexes"))
        return levels * (merged * merged + merged * (fields.number("out_hidden_size") or hidden))
    if merge > 1:  # Mistral: a merging layer, then two linear layers
        return merged * width + width * hidden + hidden * hidden
    shuffled = fields.number("projector_output_dim", "vision_output_dim")
    if shuffled:  # Llama 4: pixel shuffle
        inside = fields.number("projector_input_dim") or shuffled
        return _feed_forward(fields) * inside + inside * shuffled + shuffled * hidden
    return width * hidden
