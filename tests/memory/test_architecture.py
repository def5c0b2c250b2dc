"""config.json to the normalised architecture: one small config per spelling."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import Attention, RecurrentState
from modelscan.core.errors import UsageError
from modelscan.memory.architecture.from_config import ConfigError, from_config

F, S, C, L, M, N = (Attention.FULL, Attention.SLIDING, Attention.CHUNKED, Attention.LINEAR,
                    Attention.SSM, Attention.NONE)  # fmt: skip


def config(**fields: Any) -> dict[str, Any]:
    """A plain decoder, with what a test adds."""
    return {
        "architectures": ["SomeForCausalLM"], "model_type": "some", "hidden_size": 1024,
        "num_hidden_layers": 8, "num_attention_heads": 16, "num_key_value_heads": 4,
        "intermediate_size": 4096, "vocab_size": 32000, "max_position_embeddings": 65536,
        "hidden_act": "silu", **fields,
    }  # fmt: skip


def kinds(**fields: Any) -> list[Attention]:
    return [layer.attention for layer in from_config(config(**fields)).layers]


def test_a_plain_decoder():
    found = from_config(config(torch_dtype="bfloat16"))
    assert found.hidden == 1024
    assert found.context_tokens == 65536
    assert found.dtype == "bfloat16"
    assert found.known
    assert not found.tied_embeddings
    layer = found.layers[0]
    assert (layer.heads, layer.kv_heads, layer.key_length, layer.feed_forward) == (16, 4, 64, 4096)


def test_the_head_size_is_the_stated_one():
    assert from_config(config(head_dim=128)).layers[0].key_length == 128


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"layer_types": ["sliding_attention", "full_attention"] * 4, "sliding_window": 512},
         [S, F] * 4),
        ({"sliding_window": 512, "sliding_window_pattern": 4}, [S, S, S, F] * 2),
        ({"sliding_window": 512, "hybrid_layer_pattern": [0, 1, 1, 1] * 2}, [F, S, S, S] * 2),
        ({"sliding_window": 512}, [S] * 8),
        ({"sliding_window": 512, "use_sliding_window": False}, [F] * 8),
        ({"sliding_window": 512, "use_sliding_window": True, "max_window_layers": 6},
         [F] * 6 + [S] * 2),
        ({"sliding_window": 1 << 20}, [F] * 8),
        ({"model_type": "gemma2", "sliding_window": 4096}, [S, F] * 4),
        ({"model_type": "gemma3_text", "sliding_window": 512}, [S] * 5 + [F, S, S]),
        ({"attention_chunk_size": 8192, "no_rope_layers": [1, 1, 1, 0] * 2}, [C, C, C, F] * 2),
        ({"attention_chunk_size": 8192}, [C, C, C, F] * 2),
        ({"full_attention_interval": 4, "linear_num_value_heads": 16, "linear_key_head_dim": 64},
         [L, L, L, F] * 2),
        ({"hybrid_override_pattern": "MEM*M-ME", "ssm_state_size": 64, "mamba_num_heads": 8,
          "mamba_head_dim": 64}, [M, N, M, F, M, N, M, N]),
        ({"layers_block_type": ["mamba", "moe", "attention", "mlp"] * 2, "ssm_state_size": 64},
         [M, N, F, N] * 2),
        ({"layer_types": ["conv", "full_attention"] * 4, "conv_L_cache": 3}, [M, F] * 4),
        ({"attn_layer_period": 4, "attn_layer_offset": 2, "mamba_d_state": 16}, [M, M, F, M] * 2),
        ({"attn_type_list": [0, 0, 0, 1] * 2, "head_dim": 64}, [L, L, L, F] * 2),
        ({"linear_attn_config": {"kda_layers": [1, 2, 3, 5, 6, 7], "full_attn_layers": [4, 8],
                                 "num_heads": 8, "head_dim": 64}}, [L, L, L, F] * 2),
        ({"block_configs": [{"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": 2.0}},
                            {"attention": {"no_op": True}, "ffn": {"no_op": True}}] * 4},
         [F, N] * 4),
    ],
)  # fmt: skip
def test_layer_kinds_in_every_spelling(fields: dict[str, Any], expected: list[Attention]):
    assert kinds(**fields) == expected


def test_mla_ranks_make_a_latent_cache():
    found = from_config(config(kv_lora_rank=512, qk_rope_head_dim=64, qk_nope_head_dim=128,
                               v_head_dim=128, q_lora_rank=1536))  # fmt: skip
    assert {layer.attention for layer in found.layers} == {Attention.MLA}
    assert found.latent is not None
    assert found.latent.kv_lora_rank + found.latent.rope_length == 576
    assert found.layers[0].kv_heads == 1


def test_experts_shared_ones_and_the_dense_prefix():
    found = from_config(config(n_routed_experts=64, num_experts_per_tok=6, n_shared_experts=2,
                               moe_intermediate_size=512, first_k_dense_replace=3))  # fmt: skip
    assert found.experts is not None
    assert (found.experts.total, found.experts.active) == (64, 6)
    assert (found.experts.width, found.experts.shared_width) == (512, 1024)
    assert [layer.moe for layer in found.layers] == [False] * 3 + [True] * 5
    assert [layer.feed_forward for layer in found.layers] == [4096] * 3 + [0] * 5


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"moe_layer_freq": [0, 1] * 4}, [False, True] * 4),
        ({"interleave_moe_layer_step": 2}, [False, True] * 4),
        ({"decoder_sparse_step": 1, "mlp_only_layers": [0, 7]}, [False] + [True] * 6 + [False]),
        ({"mlp_layer_types": ["dense"] * 2 + ["sparse"] * 6}, [False] * 2 + [True] * 6),
        ({"expert_layer_period": 2, "expert_layer_offset": 1}, [False, True] * 4),
    ],
)
def test_which_blocks_have_experts(fields: dict[str, Any], expected: list[bool]):
    found = from_config(config(num_local_experts=8, num_experts_per_tok=2, **fields))
    assert [layer.moe for layer in found.layers] == expected


def test_nested_configs_are_found_at_any_depth():
    inner = config(model_type="inner_text", tie_word_embeddings=True)
    for wrapped in (
        {"model_type": "outer", "text_config": inner, "vision_config": {"hidden_size": 1152}},
        {"model_type": "outer", "llm_config": inner},
        {"model_type": "outer", "thinker_config": {"text_config": inner}},
    ):
        found = from_config(wrapped)
        assert found.name == "inner_text"
        assert found.tied_embeddings
        assert found.vision == ("vision_config" in wrapped)


@pytest.mark.parametrize(
    ("fields", "tied"),
    [({"model_type": "gemma3_text"}, True), ({"model_type": "llama"}, False),
     ({"model_type": "gemma2", "tie_word_embeddings": False}, False),
     ({"model_type": "cohere2"}, True)],
)  # fmt: skip
def test_absent_tying_is_the_class_default(fields: dict[str, Any], tied: bool):
    assert from_config(config(**fields)).tied_embeddings is tied


def test_sliding_and_full_layers_with_their_own_heads():
    mimo = from_config(config(hybrid_layer_pattern=[0, 1] * 4, sliding_window=128, head_dim=192,
                              v_head_dim=128, swa_num_key_value_heads=8, swa_head_dim=192,
                              swa_v_head_dim=128))  # fmt: skip
    assert Counter((x.kv_heads, x.key_length, x.value_length) for x in mimo.layers) == {
        (4, 192, 128): 4, (8, 192, 128): 4,
    }  # fmt: skip
    gemma = from_config(config(
        model_type="gemma4_text", layer_types=["sliding_attention", "full_attention"] * 4,
        sliding_window=512, head_dim=64, global_head_dim=128, num_global_key_value_heads=1,
        attention_k_eq_v=True, num_kv_shared_layers=2))  # fmt: skip
    assert (gemma.layers[1].kv_heads, gemma.layers[1].key_length) == (1, 128)
    assert [layer.owns_cache for layer in gemma.layers] == [True] * 6 + [False] * 2


def test_state_sizes():
    delta = from_config(config(full_attention_interval=4, linear_num_value_heads=32,
                               linear_num_key_heads=16, linear_key_head_dim=128,
                               linear_value_head_dim=128, linear_conv_kernel_dim=4))  # fmt: skip
    assert delta.layers[0].state == RecurrentState(4, 4096, 128, 16, 32)
    mamba = from_config(config(hybrid_override_pattern="M*" * 4, ssm_state_size=128, n_groups=8,
                               mamba_num_heads=64, mamba_head_dim=64, conv_kernel=4))  # fmt: skip
    assert mamba.layers[0].state == RecurrentState(4, 4096, 128, 8, 64)
    both = from_config(config(mamba_d_state=256, mamba_n_heads=24, mamba_d_head=128,
                              mamba_n_groups=1, mamba_d_conv=4))  # fmt: skip
    assert both.layers[0].attention is F
    assert both.layers[0].state == RecurrentState(4, 3072, 256, 1, 24)


def test_decilm_blocks_have_their_own_widths():
    blocks = [{"attention": {"n_heads_in_group": 8}, "ffn": {"ffn_mult": 2.625}}] * 8
    layer = from_config(config(block_configs=blocks, num_key_value_heads=None)).layers[0]
    assert layer.kv_heads == 2
    assert layer.feed_forward == 1792


def test_an_encoder_is_told_by_its_fields():
    found = from_config({
        "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_size": 1024,
        "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
        "vocab_size": 250002, "max_position_embeddings": 514, "type_vocab_size": 1,
        "position_embedding_type": "absolute", "hidden_act": "gelu",
    })  # fmt: skip
    assert found.encoder_only
    assert found.embedding_model
    assert not found.gated_feed_forward


def test_prediction_layers_are_counted_apart():
    assert from_config(config(num_nextn_predict_layers=1)).mtp_layers == 1
    assert from_config(config(num_mtp_modules=3)).mtp_layers == 0


@pytest.mark.parametrize(
    ("quantization", "expected"),
    [
        ({"quant_method": "fp8"}, "FP8"), ({"quant_method": "awq", "bits": 4}, "AWQ"),
        ({"quant_method": "gptq", "bits": 4}, "GPTQ-INT4"), ({"quant_method": "mxfp4"}, "MXFP4"),
        ({"quant_method": "gptq", "bits": 8}, "GPTQ-INT8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "BNB-4BIT"),
        ({"quant_algo": "NVFP4"}, "NVFP4"), ({"quant_algo": "FP8"}, "FP8"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {
            "weights": {"num_bits": 4, "type": "int"}}}}, "INT4"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {
            "weights": {"num_bits": 8, "type": "float"},
            "input_activations": {"num_bits": 8}}}}, "FP8"),
        ({"quant_method": "compressed-tensors", "config_groups": {"g": {
            "weights": {"num_bits": 8, "type": "int"},
            "input_activations": {"num_bits": 8}}}}, "INT8"),
        ({"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized"}, "MXFP4"),
        (None, None),
    ],
)  # fmt: skip
def test_quantization_configs_have_one_name_each(quantization: Any, expected: str | None):
    assert from_config(config(quantization_config=quantization)).quantization == expected


def test_an_unknown_layer_kind_is_a_note_and_not_a_silent_guess():
    found = from_config(config(layer_types=["holographic"] * 8))
    assert not found.known
    assert "holographic" in found.notes[0]
    assert {layer.attention for layer in found.layers} == {F}


@pytest.mark.parametrize(
    "broken",
    [{}, {"model_type": "adapter"}, config(num_hidden_layers=None), config(hidden_size="wide"),
     config(num_hidden_layers=1 << 40), config(hidden_size=float("inf")),
     config(num_hidden_layers=-3), config(hidden_size=1 << 60)],
)  # fmt: skip
def test_configs_without_the_basic_numbers_are_named_errors(broken: dict[str, Any]):
    with pytest.raises(ConfigError) as caught:
        from_config(broken)
    assert isinstance(caught.value, UsageError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**12) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=6,
)  # fmt: skip
fields = st.sampled_from([
    "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "intermediate_size", "layer_types", "sliding_window", "hybrid_override_pattern", "text_config",
    "layers_block_type", "linear_attn_config", "block_configs", "moe_layer_freq", "num_experts",
    "kv_lora_rank", "full_attention_interval", "mamba_d_state", "quantization_config",
    "vision_config", "attn_type_list", "no_rope_layers", "attention_chunk_size", "rope_parameters",
    "num_kv_shared_layers", "v_head_dim", "vocab_size", "tie_word_embeddings", "compress_ratios",
    "first_k_dense_replace", "expert_layer_period", "attn_layer_period", "conv_L_cache",
])  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.dictionaries(fields, json_values, max_size=5))
def test_any_config_ends_in_an_architecture_or_a_named_error(changes: dict[str, Any]):
    try:
        found = from_config(config(**changes))
    except UsageError:
        return
    assert len(found.layers) >= 1


@pytest.mark.parametrize(
    "claim",
    [
        {"num_nextn_predict_layers": 1 << 31},
        {"num_hidden_layers": 1 << 19},
        {"num_layers": 1 << 19, "zero_expert_num": 1},
    ],
)
def test_a_claim_of_countless_layers_is_refused(claim: dict[str, Any]):
    with pytest.raises(ConfigError, match="claims"):
        from_config(config(**claim))


def test_blocks_that_are_no_objects_are_passed_over():
    odd = [{"attention": [1], "ffn": [1]}, 7]
    assert len(from_config(config(num_hidden_layers=2, block_configs=odd)).layers) == 2


def test_a_yarn_factor_without_end_lengthens_nothing():
    endless = {"rope_type": "yarn", "original_max_position_embeddings": 4096, "factor": 1e999}
    assert from_config(config(rope_scaling=endless)).context_tokens == 65536
