"""Bytes of weights: exact from files, counted from configs, typed as real files are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.architecture.from_config import from_config as architecture_of
from modelscan.memory.architecture.vision_parameters import multimodal_parameters
from modelscan.memory.quantization_mix import BASE, quantized, recipe_name
from modelscan.memory.shape import from_config
from modelscan.memory.tensor_table import tensor_table


def dense(model: str, layers: int, hidden: int, heads: int, kv: int, ff: int, vocab: int,
          **fields: Any) -> dict[str, Any]:  # fmt: skip
    return {
        "architectures": ["ForCausalLM"], "model_type": model, "num_hidden_layers": layers,
        "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv,
        "intermediate_size": ff, "vocab_size": vocab, "hidden_act": "silu",
        "torch_dtype": "bfloat16", "max_position_embeddings": 131072, **fields,
    }  # fmt: skip


LLAMA_8B = dense("llama", 32, 4096, 32, 8, 14336, 128256)
LLAMA_70B = dense("llama", 80, 8192, 64, 8, 28672, 128256)
QWEN3_30B = dense("qwen3_moe", 48, 2048, 32, 4, 6144, 151936, head_dim=128, num_experts=128,
                  num_experts_per_tok=8, moe_intermediate_size=768)  # fmt: skip
DEEPSEEK_R1 = dense(
    "deepseek_v3", 61, 7168, 128, 128, 18432, 129280, kv_lora_rank=512, q_lora_rank=1536,
    qk_rope_head_dim=64, qk_nope_head_dim=128, v_head_dim=128, n_routed_experts=256,
    num_experts_per_tok=8, n_shared_experts=1, moe_intermediate_size=2048,
    first_k_dense_replace=3, num_nextn_predict_layers=1,
    quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
)  # fmt: skip
GPT_OSS_20B = dense(
    "gpt_oss", 24, 2880, 64, 8, 2880, 201088, head_dim=64, num_local_experts=32,
    num_experts_per_tok=4, sliding_window=128,
    quantization_config={"quant_method": "mxfp4", "modules_to_not_convert": [
        "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]},
)  # fmt: skip
# model -> (config, parameters its checkpoint publishes, which tolerance)
PUBLISHED = {
    "llama-3.1-8b": (LLAMA_8B, 8_030_261_248),
    "llama-3.1-70b": (LLAMA_70B, 70_553_706_496),
    "mistral-7b-v0.3": (dense("mistral", 32, 4096, 32, 8, 14336, 32768), 7_248_023_552),
    "mixtral-8x7b": (dense("mixtral", 32, 4096, 32, 8, 14336, 32000, num_local_experts=8,
                           num_experts_per_tok=2), 46_702_792_704),
    "qwen2.5-7b": (dense("qwen2", 28, 3584, 28, 4, 18944, 152064), 7_615_616_512),
    "qwen3-8b": (dense("qwen3", 36, 4096, 32, 8, 12288, 151936, head_dim=128), 8_190_735_360),
    "qwen3-30b-a3b": (QWEN3_30B, 30_532_122_624),
    "deepseek-r1": (DEEPSEEK_R1, 684_489_845_504),
    "gpt-oss-20b": (GPT_OSS_20B, 20_914_757_184),
    "phi-4": (dense("phi3", 40, 5120, 40, 10, 17920, 100352), 14_659_507_200),
    "gemma-3-1b": (dense("gemma3_text", 26, 1152, 4, 1, 6912, 262144, head_dim=256,
                         hidden_act="gelu_pytorch_tanh", sliding_window=512), 999_885_952),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_agree_with_the_published_checkpoint(name: str):
    config, published = PUBLISHED[name]
    found = from_config(config).weights.parameters
    assert found is not None
    assert abs(found / published - 1) < 0.002


def test_active_parameters_count_only_the_experts_in_use():
    found = from_config(QWEN3_30B).weights
    assert found.active_parameters is not None
    assert 2.9e9 < found.active_parameters < 3.4e9
    whole = from_config(LLAMA_8B).weights
    assert whole.active_parameters == 8_030_261_248 - 128256 * 4096


# Bits per weight that llama.cpp's documentation gives for Llama-3.1-8B (tools/quantize).
LLAMA_8B_BITS = {
    "IQ1_S": 2.0042, "IQ1_M": 2.1460, "IQ2_XXS": 2.3824, "IQ2_XS": 2.5882, "IQ2_S": 2.7403,
    "IQ2_M": 2.9294, "IQ3_XXS": 3.2548, "IQ3_XS": 3.4977, "IQ3_S": 3.6606, "IQ3_M": 3.7628,
    "IQ4_XS": 4.4597, "IQ4_NL": 4.6818, "Q2_K_S": 2.9697, "Q2_K": 3.1593, "Q3_K_S": 3.6429,
    "Q3_K_L": 4.2979, "Q4_K_S": 4.6672, "Q4_K_M": 4.8944, "Q5_K_S": 5.5704, "Q5_K_M": 5.7036,
    "Q6_K": 6.5633, "Q8_0": 8.5008, "F16": 16.0005,
}  # fmt: skip


@pytest.mark.parametrize("recipe", LLAMA_8B_BITS)
def test_projected_files_have_the_documented_size(recipe: str):
    found = from_config(LLAMA_8B, format="gguf", quantization=recipe)
    bits = 8 * found.weights.total_bytes / 8_030_261_248
    assert abs(bits / LLAMA_8B_BITS[recipe] - 1) < 0.001
    assert found.format == "gguf"
    assert found.weights.basis == "computed"


@pytest.mark.parametrize(
    ("config", "recipe", "gib"),
    [(LLAMA_70B, "Q4_K_M", 39.60), (LLAMA_70B, "IQ1_M", 15.60), (LLAMA_70B, "Q3_K_L", 34.59),
     (QWEN3_30B, "Q5_K_M", 20.23), (DEEPSEEK_R1, "Q8_0", 664.295)],
)  # fmt: skip
def test_projected_files_of_other_models_too(config: dict[str, Any], recipe: str, gib: float):
    found = from_config(config, format="gguf", quantization=recipe).weights.total_bytes / GIB
    assert abs(found / gib - 1) < 0.001


# Published files: parameters and GiB (llama-bench's size column, model size lines of logs).
@pytest.mark.parametrize(
    ("recipe", "bits"),
    [("UD-Q8_K_XL", 10.473), ("UD-Q8_K_XL", 8.832), ("UD-Q6_K_XL", 6.796), ("UD-Q5_K_XL", 5.664),
     ("UD-Q4_K_XL", 4.567), ("UD-Q4_K_XL", 5.413), ("UD-Q3_K_S", 3.275), ("UD-Q2_K_XL", 2.985)],
)  # fmt: skip
def test_dynamic_recipes_are_a_range_that_holds_published_files(recipe: str, bits: float):
    found = from_config(LLAMA_8B, format="gguf", quantization=recipe)
    assert found.weights.basis == "range"
    assert found.weights.low_bytes is not None and found.weights.high_bytes is not None
    size = bits * 8_030_261_248 / 8
    assert found.weights.low_bytes < size < found.weights.high_bytes
    result = estimate(found, Workload(context_tokens=4096), None, model="m")
    assert result.basis == "range"
    assert result.high_bytes is not None
    assert result.high_bytes > found.weights.high_bytes
    assert any(recipe in note for note in result.warnings)


def test_a_dynamic_file_that_is_known_is_exact():
    found = from_config(LLAMA_8B, format="gguf", quantization="UD-Q4_K_XL", weight_bytes=5 * GIB)
    assert found.weights.basis == "exact"
    assert not found.architecture.notes


def test_a_projection_is_estimated_like_a_file():
    shape = from_config(QWEN3_30B, format="gguf", quantization="Q4_K_M")
    found = estimate(shape, Workload(context_tokens=8192), None, model="m")
    assert found.backend == "llama.cpp"
    assert found.parts.kv_cache_bytes == 48 * 8192 * 2 * 4 * 128 * 2
    assert found.parts.compute_bytes > 0


@pytest.mark.parametrize(
    ("quantization", "gib"),
    [(None, 14.96), ("fp8", 8.46), ("awq", 5.34), ("gptq", 5.34), ("bnb-4bit", 5.32),
     ("nvfp4", 5.61), ("int8", 8.47), ("w4a16", 5.31)],
)  # fmt: skip
def test_embeddings_and_head_stay_in_sixteen_bits(quantization: str | None, gib: float):
    found = from_config(LLAMA_8B, quantization=quantization).weights
    assert found.total_bytes / GIB == pytest.approx(gib, rel=0.005)
    assert found.embedding_bytes == found.output_bytes == 128256 * 4096 * 2


@pytest.mark.parametrize(
    ("stated", "bits"),
    [
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, 8.005),  # a scale per column
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4.5),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True,
          "bnb_4bit_use_double_quant": True}, 4.127),
    ],
)  # fmt: skip
def test_what_scales_add(stated: dict[str, Any], bits: float):
    plain = from_config(LLAMA_8B).weights.total_bytes
    found = from_config({**LLAMA_8B, "quantization_config": stated}).weights.total_bytes
    matrices = 32 * (4096 * (4096 * 2 + 1024 * 2) + 3 * 4096 * 14336)
    assert plain - found == pytest.approx(matrices * (16 - bits) / 8, rel=0.001)


def test_the_checkpoints_own_configuration_decides():
    deepseek = from_config(DEEPSEEK_R1)
    assert deepseek.quantization == "FP8"
    assert deepseek.weights.total_bytes / GIB == pytest.approx(641.30, rel=0.001)
    oss = from_config(GPT_OSS_20B)
    assert oss.architecture.quantization == "MXFP4"
    # 13.76 GB on the hub: attention, embedding and head in BF16, experts in MXFP4
    assert oss.weights.total_bytes / 1e9 == pytest.approx(13.76, rel=0.002)


def test_modules_that_are_excluded_stay_as_they_are():
    nvfp4 = {"quantization": {"quant_algo": "NVFP4", "exclude_modules": ["lm_head"]}}
    fewer = {"quantization": {"quant_algo": "NVFP4",
                              "exclude_modules": ["lm_head", "model.layers.*.self_attn*"]}}  # fmt: skip
    regular = {**LLAMA_8B, "quantization_config": {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "config_groups": {"g": {"weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
        "ignore": ["lm_head", "re:.*self_attn.*"]}}  # fmt: skip
    all_of_it = from_config(LLAMA_8B, hf_quant_config=nvfp4).weights.total_bytes
    attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024)
    kept = from_config(LLAMA_8B, hf_quant_config=fewer).weights.total_bytes
    assert kept - all_of_it == pytest.approx(attention * (16 - 4.5) / 8, rel=1e-6)
    ignored = from_config(regular).weights.total_bytes
    grouped = from_config({**regular, "quantization_config": {
        **regular["quantization_config"], "ignore": ["lm_head"]}}).weights.total_bytes  # fmt: skip
    assert ignored - grouped == pytest.approx(attention * (16 - 4.5) / 8, rel=1e-6)


def test_mixed_precision_lists_what_is_quantised():
    mixed = {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
        "model.layers.0.mlp.up_proj": {"quant_algo": "NVFP4"},
        "model.layers.0.mlp.down_proj": {"quant_algo": "FP8"}}}}  # fmt: skip
    saved = (
        from_config(LLAMA_8B).weights.total_bytes
        - from_config(LLAMA_8B, hf_quant_config=mixed).weights.total_bytes
    )
    matrix = 4096 * 14336
    assert saved == pytest.approx(matrix * (16 - 4.5) / 8 + matrix * (16 - 8) / 8, rel=1e-3)


def test_real_sizes_win_over_formulas():
    exact = from_config(LLAMA_8B, weight_bytes=16_060_556_376).weights
    assert (exact.total_bytes, exact.basis) == (16_060_556_376, "exact")
    by_dtype = from_config(LLAMA_8B, safetensors={"BF16": 8_030_261_248}).weights
    assert (by_dtype.total_bytes, by_dtype.basis) == (2 * 8_030_261_248, "exact")


def test_packed_counts_are_bytes_of_what_is_stored():
    stored = {"BF16": 1_050_673_152, "U8": 3_489_792_000, "F8_E4M3": 436_224_000}
    found = from_config(LLAMA_8B, quantization="nvfp4", safetensors=stored).weights
    assert found.total_bytes == 2 * 1_050_673_152 + 3_489_792_000 + 436_224_000
    # a total of packed elements is no parameter count, and is not taken for one
    packed = from_config(LLAMA_8B, quantization="nvfp4", parameters=sum(stored.values())).weights
    assert packed.parameters == 8_030_261_248


def test_a_tied_embedding_that_is_stored_twice_is_loaded_once():
    config = dense("qwen3", 28, 1024, 16, 8, 3072, 151936, head_dim=128, tie_word_embeddings=True)
    found = from_config(config, safetensors={"BF16": 751_632_384}).weights
    assert found.total_bytes == 2 * (751_632_384 - 151936 * 1024)


@pytest.mark.parametrize("name", ["HQQ", "q17", "GPTQ-Int4-Int8Mix"])
def test_an_unknown_format_has_a_wide_range(name: str) -> None:
    plain, found = from_config(LLAMA_8B).weights, from_config(LLAMA_8B, quantization=name).weights
    assert found.basis == "range"
    assert found.total_bytes == plain.total_bytes
    assert found.low_bytes == round(found.total_bytes / 4)
    stored = from_config(LLAMA_8B, quantization=name, weight_bytes=5_000_000_000).weights
    assert (stored.basis, stored.total_bytes) == ("exact", 5_000_000_000)


def test_a_guessed_shape_has_a_range():
    found = from_config({**LLAMA_8B, "layer_types": ["odd"] * 32}).weights
    assert found.basis == "range"
    assert found.low_bytes is not None
    assert found.high_bytes is not None
    assert found.low_bytes < found.total_bytes < found.high_bytes


def test_names_of_formats_and_recipes():
    assert recipe_name("UD-Q4_K_XL") == "Q4_K_M"
    with pytest.raises(UsageError) as caught:
        from_config(LLAMA_8B, format="gguf", quantization="AWQ")
    assert "Q4_K_M" in (caught.value.hint or "")


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(BASE)), st.sampled_from([LLAMA_8B, QWEN3_30B, GPT_OSS_20B]))
def test_every_recipe_types_every_tensor_in_whole_blocks(recipe: str, config: dict[str, Any]):
    architecture = architecture_of(config)
    table = tensor_table(architecture)
    found = quantized(table, architecture, recipe)
    assert len(found) == len(table)
    for tensor, (name, shape) in zip(found, table, strict=True):
        assert tensor.name == name
        assert tensor.size_bytes > 0
        assert tensor.size_bytes <= 4 * math.prod(shape)


def test_a_conformer_has_two_feed_forwards_and_a_convolution() -> None:
    """Gemma 4's audio tower: 305 million parameters (transformers' Gemma4AudioModel)."""
    tower = {
        "model_type": "gemma4_audio", "hidden_size": 1024, "num_hidden_layers": 12,
        "num_attention_heads": 8, "hidden_act": "silu", "conv_kernel_size": 5,
    }  # fmt: skip
    parameters = multimodal_parameters({"model_type": "gemma4", "audio_config": tower}, 2560)
    assert parameters == pytest.approx(305_000_000, rel=0.03)
