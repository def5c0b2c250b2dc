"""Speech recognisers with an encoder and a decoder (Whisper): their config read as a decoder's.

The decoder's layers have a second attention, to the encoder's output; its cache per request is
fixed by ``max_source_positions`` and is not part of an estimate, which says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CROSS_LAYERS = "cross_attention_layers"
CACHE_NOTE = "the cache of the encoder's output is not counted: the estimate is a range"
_DECODER = {
    "num_hidden_layers": "decoder_layers", "num_attention_heads": "decoder_attention_heads",
    "intermediate_size": "decoder_ffn_dim", "hidden_size": "d_model",
    "max_position_embeddings": "max_target_positions", "hidden_act": "activation_function",
}  # fmt: skip
_ENCODER = {
    "num_hidden_layers": "encoder_layers", "intermediate_size": "encoder_ffn_dim",
    "d_model": "d_model", "num_mel_bins": "num_mel_bins",
}  # fmt: skip


def is_encoder_decoder(config: Mapping[str, Any]) -> bool:
    """Whether the config is that of a speech encoder with a decoder."""
    return all(config.get(key) for key in ("encoder_layers", "decoder_layers", "num_mel_bins"))


def as_decoder(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config with the decoder's sizes under the usual names and the encoder as an audio
    encoder; any other config unchanged.
    """
    if not is_encoder_decoder(config):
        return config
    decoder = {name: config[key] for name, key in _DECODER.items() if config.get(key) is not None}
    encoder = {name: config[key] for name, key in _ENCODER.items() if config.get(key) is not None}
    encoder[CROSS_LAYERS] = config["decoder_layers"]
    return {**config, **decoder, "audio_config": encoder}
