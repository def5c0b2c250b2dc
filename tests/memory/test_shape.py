"""Shapes from GGUF headers: what llama.cpp would read, whatever a file claims."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import Attention, ModelShape
from modelscan.core.errors import ModelscanError
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.formats.gguf import GgufError, GgufHeader, parse_header
from modelscan.memory.shape import from_config, from_gguf
from scripts.sparse_gguf import header
from scripts.sparse_models import MODELS
from scripts.sparse_pieces import Sketch


def head(name: str, **changes: Any) -> GgufHeader:
    sketch = MODELS[name]()
    keys = {key.replace("__", "."): value for key, value in changes.items()}
    sketch.keys.update({k: v for k, v in keys.items() if v is not None})
    for key in [k for k, v in keys.items() if v is None]:
        sketch.keys.pop(key, None)
    return parsed(sketch)


def parsed(sketch: Sketch) -> GgufHeader:
    data, _, padded = header(sketch)
    return parse_header(lambda o, n: data[o : o + n], len(data) + padded)


def kinds(name: str, **changes: Any) -> Counter[Attention]:
    layers = from_gguf(head(name, **changes)).architecture.layers
    return Counter(layer.attention for layer in layers)


F, S, C, M, L, N = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED, Attention.SSM,
                    Attention.LINEAR, Attention.NONE)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama-3.2-3b", {F: 28}), ("gemma-3-27b", {S: 52, F: 10}), ("gemma-2-9b", {S: 21, F: 21}),
        ("gpt-oss-120b", {S: 18, F: 18}), ("command-a-111b", {S: 48, F: 16}),
        ("llama-4-scout", {C: 36, F: 12}), ("phi-3.5-mini", {F: 32}), ("bge-large", {F: 24}),
        ("deepseek-r1", {Attention.MLA: 61}), ("qwen3-next-80b", {L: 36, F: 12}),
        ("granite-4-h-tiny", {M: 36, F: 4}), ("nemotron-nano-9b", {M: 27, N: 25, F: 4}),
        ("falcon-h1-7b", {F: 44}), ("mamba2-2.7b", {M: 64}), ("lfm2-1.2b", {M: 10, F: 6}),
        ("olmo-3-32b", {S: 48, F: 16}), ("gemma-4-31b", {S: 50, F: 10}),
    ],
)  # fmt: skip
def test_layer_kinds_are_those_llama_cpp_builds(name: str, expected: dict[Attention, int]):
    assert kinds(name) == expected


def test_a_pattern_in_the_file_wins_over_the_engines_default():
    assert kinds("gemma-3-27b", attention__sliding_window_pattern=2) == {S: 31, F: 31}
    flags = [True] * 61 + [False]
    assert kinds("gemma-3-27b", attention__sliding_window_pattern=flags) == {S: 61, F: 1}


def test_a_window_without_a_known_pattern_is_a_note():
    shape = from_gguf(head("llama-3.2-3b", attention__sliding_window=4096))
    assert not shape.architecture.known
    assert "4096" in shape.architecture.notes[0]


def test_shared_and_prediction_layers():
    gemma = from_gguf(head("gemma-4-e4b")).architecture
    assert sum(layer.owns_cache for layer in gemma.layers) == 24
    sketch = MODELS["glm-4.5-air"]()
    sketch.keys["block_count"], sketch.keys["nextn_predict_layers"] = 47, 1
    extra = [("blk.46." + name[6:], shape) for name, shape in sketch.tensors
             if name.startswith("blk.9.")]  # fmt: skip
    sketch.tensors += extra
    glm = from_gguf(parsed(sketch))
    plain = from_gguf(head("glm-4.5-air"))
    assert glm.architecture.mtp_layers == 1
    assert len(glm.architecture.layers) == 46
    assert glm.weights.total_bytes == plain.weights.total_bytes
    assert glm.weights.parameters is not None
    assert plain.weights.parameters is not None
    assert glm.weights.parameters > plain.weights.parameters


def test_an_old_deepseek_file_has_a_plain_cache():
    old = head("deepseek-r1", attention__key_length_mla=None, attention__value_length_mla=None,
               attention__head_count_kv=128, attention__key_length=192,
               attention__value_length=128)  # fmt: skip
    shape = from_gguf(old)
    assert shape.architecture.latent is None
    found = estimate(shape, Workload(context_tokens=2048), None, model="m")
    assert found.kv_bytes_per_token == 61 * 128 * (192 + 128) * 2


def test_weights_by_place():
    shape = from_gguf(head("qwen3-235b-a22b"))
    weights = shape.weights
    assert weights.basis == "exact"
    assert weights.embedding_bytes is not None
    assert weights.output_bytes is not None
    ends = weights.embedding_bytes + weights.output_bytes
    norm = 4 * 4096
    assert sum(weights.layer_bytes) + ends + norm == weights.total_bytes
    assert weights.expert_bytes is not None
    assert 0.9 < weights.expert_bytes / weights.total_bytes < 1


def test_a_file_that_is_no_language_model_is_named_so():
    sketch = replace(MODELS["bge-large"](), arch="clip", keys={}, tensors=[("v.patch", (8, 8))])
    with pytest.raises(GgufError, match="block_count"):
        from_gguf(parsed(sketch))


@pytest.mark.parametrize("heads", [None, 0, [16, 16, 16]], ids=["missing", "zero", "too few"])
def test_an_attending_block_without_heads_is_refused_as_llamacpp_does(heads):
    sketch = MODELS["qwen2-0.5b"]()
    sketch.keys["attention.head_count"] = heads
    if heads is None:
        del sketch.keys["attention.head_count"]
    with pytest.raises(GgufError, match=r"attention\.head_count"):
        from_gguf(parsed(sketch))


def test_blocks_without_attention_need_no_heads():
    sketch = MODELS["lfm2-1.2b"]()
    listed = [0 if kv == 0 else 32 for kv in sketch.keys["attention.head_count_kv"]]
    sketch.keys["attention.head_count"] = listed
    layers = from_gguf(parsed(sketch)).architecture.layers
    assert max(layer.heads for layer in layers) == 32


QWEN3_8B = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": 5120,
    "num_hidden_layers": 40, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 17408, "vocab_size": 151936, "hidden_act": "silu",
    "max_position_embeddings": 131072,
}  # fmt: skip


def test_a_projected_file_is_sized_like_the_real_one():
    real = from_gguf(head("qwen3-14b"))
    projected = from_config(QWEN3_8B, format="gguf", quantization="Q4_K_S")
    workload = Workload(context_tokens=16384, parallel=2)
    ours, theirs = (estimate(s, workload, None, model="m").parts for s in (projected, real))
    assert ours.kv_cache_bytes == theirs.kv_cache_bytes
    assert ours.compute_bytes == theirs.compute_bytes
    assert ours.output_bytes == theirs.output_bytes
    assert {t.name for t in projected.tensors} == {t.name for t in real.tensors}


def test_the_size_of_the_real_file_wins_over_the_recipe():
    shape: ModelShape = from_config(QWEN3_8B, format="gguf", quantization="Q4_K_M",
                                    weight_bytes=9_000_000_000)  # fmt: skip
    assert shape.weights.basis == "exact"
    assert abs(shape.weights.total_bytes - 9_000_000_000) < 1000


values = (st.integers(0, (1 << 32) - 1) | st.booleans()
          | st.floats(0, width=32) | st.text(max_size=4)
          | st.lists(st.integers(-5, 1 << 20), max_size=70))  # fmt: skip
keys = st.sampled_from([
    "block_count", "embedding_length", "feed_forward_length", "attention.head_count",
    "attention.head_count_kv", "attention.key_length", "attention.value_length",
    "attention.key_length_swa", "attention.sliding_window", "attention.sliding_window_pattern",
    "attention.shared_kv_layers", "expert_count", "expert_used_count", "nextn_predict_layers",
    "ssm.inner_size", "ssm.state_size", "ssm.conv_kernel", "attention.kv_lora_rank",
    "attention.key_length_mla", "full_attention_interval", "rope.dimension_sections",
    "embedding_length_per_layer_input", "attention.recurrent_layers", "shortconv.l_cache",
])  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(["bge-large", "gemma-3-1b", "lfm2-1.2b", "qwen2-0.5b"]),
       st.dictionaries(keys, values, max_size=4))  # fmt: skip
def test_any_claim_in_a_header_ends_in_an_estimate_or_a_named_error(
    name: str, changes: dict[str, Any]
):
    sketch = MODELS[name]()
    sketch.keys.update(changes)
    try:
        found = estimate(from_gguf(parsed(sketch)), Workload(), None, model="m")
    except ModelscanError:
        return
    assert found.total_bytes >= 0
