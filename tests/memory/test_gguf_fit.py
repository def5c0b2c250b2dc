"""Files whose keys and tensors contradict each other are refused, as llama.cpp refuses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from modelscan.formats.gguf import GgufError, parse_header
from modelscan.memory.shape import from_gguf
from scripts.sparse_gguf import header
from scripts.sparse_models import MODELS

HEADS, KV = "attention.head_count", "attention.head_count_kv"


def read(name: str, keys: Mapping[str, Any]) -> None:
    sketch = MODELS[name]()
    for key, value in keys.items():
        if value is None:
            sketch.keys.pop(key)
        else:
            sketch.keys[key] = value
    head, _, padded = header(sketch)
    from_gguf(parse_header(lambda offset, size: head[offset : offset + size], len(head) + padded))


@pytest.mark.parametrize("name", sorted(MODELS)[::4])
def test_real_shapes_fit(name: str):
    read(name, {})


# Each was tried with llama.cpp's own loader (b11549), which refuses the file.
@pytest.mark.parametrize(
    ("name", "keys", "words"),
    [
        ("llama-3.2-3b", {HEADS: None}, HEADS), ("llama-3.2-3b", {HEADS: 0}, HEADS),
        ("llama-3.2-3b", {HEADS: 7}, "attn_q has 3,072 rows"),
        ("llama-3.2-3b", {HEADS: [24, 24]}, HEADS), ("llama-3.2-3b", {KV: 0}, "rows"),
        ("llama-3.2-3b", {KV: None}, "attn_k has 1,024 rows"),
        ("llama-3.2-3b", {"context_length": None}, "context_length"),
        ("llama-3.2-3b", {"feed_forward_length": None}, "feed_forward_length"),
        ("llama-3.2-3b", {"block_count": None}, "block_count"),
        ("qwen3.5-9b", {HEADS: None}, HEADS), ("deepseek-r1", {HEADS: None}, HEADS),
        ("deepseek-r1", {"attention.kv_lora_rank": None}, "kv_lora_rank"),
        ("mixtral-8x22b", {"expert_count": None}, "expert_count"),
        ("mixtral-8x22b", {"expert_used_count": None}, "expert_used_count"),
    ],
)  # fmt: skip
def test_a_file_that_llama_cpp_does_not_load_is_refused(
    name: str, keys: Mapping[str, Any], words: str
):
    with pytest.raises(GgufError, match=words) as error:
        read(name, keys)
    assert error.value.hint
