"""A tiny Hugging Face repository with random weights, written by hand: config, tokenizer, weights.

The tokenizer has one token per byte and three special ones; the weights are bfloat16 in a
safetensors container (8-byte length, JSON header, raw bytes). No library is needed.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator
from pathlib import Path

HIDDEN, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 128, 2, 2, 1, 256, 2048
SPECIAL = ("<|begin|>", "<|end|>", "<|pad|>")
VOCABULARY = 256 + len(SPECIAL) + 5  # padded to a multiple of 8
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def write_tiny_hf(folder: Path, seed: int = 0, **config: object) -> Path:
    """Write the repository; ``config`` replaces fields of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "config.json", {**_config(), **config})
    _write(folder / "generation_config.json", {"bos_token_id": 256, "eos_token_id": 257})
    _write(folder / "tokenizer.json", _tokenizer())
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0],
            "eos_token": SPECIAL[1], "pad_token": SPECIAL[2], "model_max_length": CONTEXT,
            "chat_template": _TEMPLATE, "clean_up_tokenization_spaces": False,
        },
    )  # fmt: skip
    _write_safetensors(folder / "model.safetensors", dict(_tensors(seed)))
    return folder


def _write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, indent=1), encoding="utf-8")


def _config() -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCABULARY,
        "hidden_size": HIDDEN, "intermediate_size": FEED_FORWARD, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": CONTEXT, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False, "attention_bias": False,
        "mlp_bias": False, "bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258,
        "torch_dtype": "bfloat16",
    }  # fmt: skip


def _byte_letters() -> dict[int, str]:
    """The printable character that byte-level tokenizers write for each byte (GPT-2's table)."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in letters]
    return letters | {byte: chr(256 + place) for place, byte in enumerate(others)}


def _tokenizer() -> dict[str, object]:
    vocabulary = {letter: byte for byte, letter in _byte_letters().items()}
    added = [
        {
            "id": 256 + place, "content": token, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": True,
        }
        for place, token in enumerate(SPECIAL)
    ]  # fmt: skip
    level = {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": True,
    }
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "vocab": vocabulary, "merges": [],
        },
    }  # fmt: skip


def _tensors(seed: int) -> Iterator[tuple[str, tuple[tuple[int, ...], bytes]]]:
    source = random.Random(seed)

    def matrix(rows: int, columns: int) -> tuple[tuple[int, ...], bytes]:
        values = (source.gauss(0.0, 0.05) for _ in range(rows * columns))
        return (rows, columns), b"".join(_bfloat16(value) for value in values)

    ones = ((HIDDEN,), _bfloat16(1.0) * HIDDEN)
    narrow = HIDDEN // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", matrix(VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        yield f"{prefix}.input_layernorm.weight", ones
        yield f"{prefix}.post_attention_layernorm.weight", ones
        for name, rows in (("q", HIDDEN), ("k", narrow), ("v", narrow), ("o", HIDDEN)):
            yield f"{prefix}.self_attn.{name}_proj.weight", matrix(rows, HIDDEN)
        yield f"{prefix}.mlp.gate_proj.weight", matrix(FEED_FORWARD, HIDDEN)
        yield f"{prefix}.mlp.up_proj.weight", matrix(FEED_FORWARD, HIDDEN)
        yield f"{prefix}.mlp.down_proj.weight", matrix(HIDDEN, FEED_FORWARD)
    yield "model.norm.weight", ones
    yield "lm_head.weight", matrix(VOCABULARY, HIDDEN)


def _bfloat16(value: float) -> bytes:
    """The upper half of a float32, truncated."""
    return struct.pack("<f", value)[2:]


def _write_safetensors(file: Path, tensors: dict[str, tuple[tuple[int, ...], bytes]]) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (shape, data) in tensors.items():
        end = offset + len(data)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for _, data in tensors.values():
            stream.write(data)
