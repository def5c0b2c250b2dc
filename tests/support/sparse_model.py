"""A model folder of real size that takes no disk: true shapes, weights that are holes.

The tensors' names and sizes are those of a Qwen3 checkpoint; the header is what readers look at.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Shape(NamedTuple):
    layers: int
    width: int
    hidden: int
    heads: int
    kv_heads: int
    tied: bool
    vocabulary: int = 151_936
    head_size: int = 128
    context: int = 40_960


QWEN3_0_6B = Shape(28, 1024, 3072, 16, 8, True)
QWEN3_8B = Shape(36, 4096, 12288, 32, 8, False)
QWEN3_32B = Shape(64, 5120, 25600, 64, 8, False)


def write_model(folder: Path, shape: Shape) -> Path:
    """``config.json`` and one ``model.safetensors``; nothing to do when they are there."""
    config = folder / "config.json"
    if config.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, size in tensors(shape):
        start, count = end, 1
        for length in size:
            count *= length
        end = start + 2 * count
        header[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
    config.write_text(json.dumps(configuration(shape), indent=1))
    return folder


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, head = shape.width, shape.head_size
    yield "model.embed_tokens.weight", (shape.vocabulary, width)
    for layer in range(shape.layers):
        at = f"model.layers.{layer}."
        yield at + "input_layernorm.weight", (width,)
        yield at + "self_attn.q_proj.weight", (shape.heads * head, width)
        yield at + "self_attn.k_proj.weight", (shape.kv_heads * head, width)
        yield at + "self_attn.v_proj.weight", (shape.kv_heads * head, width)
        yield at + "self_attn.o_proj.weight", (width, shape.heads * head)
        yield at + "self_attn.q_norm.weight", (head,)
        yield at + "self_attn.k_norm.weight", (head,)
        yield at + "post_attention_layernorm.weight", (width,)
        yield at + "mlp.gate_proj.weight", (shape.hidden, width)
        yield at + "mlp.up_proj.weight", (shape.hidden, width)
        yield at + "mlp.down_proj.weight", (width, shape.hidden)
    yield "model.norm.weight", (width,)
    if not shape.tied:
        yield "lm_head.weight", (shape.vocabulary, width)


def configuration(shape: Shape) -> dict[str, object]:
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "torch_dtype": "bfloat16",
        "hidden_size": shape.width, "intermediate_size": shape.hidden, "hidden_act": "silu",
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads, "head_dim": shape.head_size,
        "vocab_size": shape.vocabulary, "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tied, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000,
        "attention_bias": False, "sliding_window": None, "use_sliding_window": False,
        "use_cache": True, "rope_scaling": None, "max_window_layers": shape.layers,
    }  # fmt: skip
