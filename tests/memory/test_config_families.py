"""Families whose config.json says heads, experts or caches in its own way.

Parameter counts are those that the models are known by; caches follow from the fields.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.architecture import Attention
from modelscan.memory.architecture.from_config import from_config
from modelscan.memory.shape import from_config as shape_from_config

BASE: dict[str, Any] = {"torch_dtype": "bfloat16", "vocab_size": 65024}
FALCON_40B = {
    **BASE, "model_type": "falcon", "hidden_size": 8192, "num_attention_heads": 128,
    "num_kv_heads": 8, "num_hidden_layers": 60, "new_decoder_architecture": True,
    "multi_query": True, "parallel_attn": True, "bias": False, "alibi": False,
}  # fmt: skip
FALCON_RW = {
    **BASE, "model_type": "falcon", "hidden_size": 2048, "num_attention_heads": 32,
    "num_hidden_layers": 24, "multi_query": False, "alibi": True, "bias": True, "vocab_size": 50304,
}  # fmt: skip
BLOOM_560M = {
    **BASE, "model_type": "bloom", "n_embed": 1024, "n_layer": 24, "num_attention_heads": 16,
    "vocab_size": 250880,
}  # fmt: skip
MPT_7B = {
    **BASE, "model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32,
    "expansion_ratio": 4, "max_seq_len": 2048, "vocab_size": 50432, "no_bias": True,
    "attn_config": {"alibi": True, "attn_type": "multihead_attention", "attn_impl": "torch"},
}  # fmt: skip
QWEN_14B = {
    **BASE, "model_type": "qwen", "hidden_size": 5120, "intermediate_size": 27392,
    "num_hidden_layers": 40, "num_attention_heads": 40, "kv_channels": 128, "vocab_size": 152064,
    "seq_length": 2048, "no_bias": True, "tie_word_embeddings": False,
}  # fmt: skip
GPTJ_6B = {
    **BASE, "model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16, "rotary_dim": 64,
    "vocab_size": 50400, "tie_word_embeddings": False, "n_positions": 2048,
}  # fmt: skip
SMALL_DBRX = {
    **BASE, "model_type": "dbrx", "d_model": 1024, "n_heads": 8, "n_layers": 4, "max_seq_len": 4096,
    "tie_word_embeddings": False, "vocab_size": 32000,
    "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 5e5},
    "ffn_config": {"ffn_hidden_size": 512, "moe_num_experts": 8, "moe_top_k": 2,
                   "ffn_act_fn": {"name": "silu"}},
}  # fmt: skip
DECODER = {
    **BASE, "model_type": "some", "hidden_size": 1024, "num_hidden_layers": 8,
    "num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 4096,
    "hidden_act": "silu", "vocab_size": 1000, "tie_word_embeddings": False,
}  # fmt: skip
LATENT = {"kv_lora_rank": 256, "q_lora_rank": 512, "qk_rope_head_dim": 32, "qk_nope_head_dim": 64}


@pytest.mark.parametrize(
    ("config", "billions", "kv_heads"),
    [
        (FALCON_40B, 41.3, 8), (FALCON_RW, 1.31, 32), (BLOOM_560M, 0.559, 16), (MPT_7B, 6.65, 32),
        (QWEN_14B, 14.17, 40), (GPTJ_6B, 6.05, 16),
    ],
    ids=["falcon-40b", "falcon-rw-1b", "bloom-560m", "mpt-7b", "qwen-14b", "gpt-j-6b"],
)  # fmt: skip
def test_plain_feed_forwards(config, billions, kv_heads):
    shape = shape_from_config(config)
    assert shape.architecture.known
    assert shape.weights.parameters / 1e9 == pytest.approx(billions, rel=0.02)
    assert shape.architecture.layers[0].kv_heads == kv_heads


def test_one_kv_head_whatever_the_count_says():
    falcon = {**FALCON_40B, "new_decoder_architecture": False, "num_kv_heads": 128}
    assert from_config(falcon).layers[0].kv_heads == 1
    mpt = {**MPT_7B, "attn_config": {"attn_type": "multiquery_attention"}}
    assert from_config(mpt).layers[0].kv_heads == 1
    grouped = {**MPT_7B, "attn_config": {"attn_type": "grouped_query_attention", "kv_n_heads": 8}}
    assert from_config(grouped).layers[0].kv_heads == 8


def test_a_gated_mpt_block():
    gated = from_config({**MPT_7B, "ffn_config": {"ffn_type": "mptglu"}})
    assert gated.gated_feed_forward
    assert not from_config({**MPT_7B, "ffn_config": {"ffn_type": "mptmlp"}}).gated_feed_forward


def test_attention_and_feed_forward_in_their_own_tables():
    found = from_config(SMALL_DBRX)
    assert found.known
    assert found.layers[0].kv_heads == 2
    assert (found.experts.total, found.experts.active, found.experts.width) == (8, 2, 512)
    assert found.experts.gated
    assert {layer.feed_forward for layer in found.layers} == {0}


EXPERTS = {"num_local_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}


@pytest.mark.parametrize(
    ("fields", "dense"),
    [
        ({"residual_moe": True}, 4096),
        ({"parallel_attn_mlp_res": True, "use_residual": True}, 1024),
        ({"parallel_attn_mlp_res": True, "use_residual": False}, 0),
        ({}, 0),
    ],
)
def test_a_dense_part_beside_the_experts(fields, dense):
    found = from_config({**DECODER, **EXPERTS, **fields})
    assert found.known
    assert {layer.feed_forward for layer in found.layers} == {dense}
    assert all(layer.moe for layer in found.layers)


def test_grok_is_gated_with_gelu():
    fields = {**DECODER, **EXPERTS, "hidden_act": "gelu", "model_type": "git"}
    assert from_config({**fields, "residual_moe": True}).experts.gated
    assert not from_config(fields).experts.gated


@pytest.mark.parametrize(("family", "activation"), [("gte", "gelu"), ("bitnet", "relu2")])
def test_families_whose_activation_does_not_state_the_gate(family, activation):
    fields = {**DECODER, "hidden_act": activation}
    assert from_config({**fields, "model_type": family}).gated_feed_forward
    assert not from_config({**fields, "model_type": "other"}).gated_feed_forward


def test_a_gate_over_the_output_of_latent_attention():
    latent = {**DECODER, **LATENT, "v_head_dim": 128}
    plain = shape_from_config(latent).weights.parameters
    gate = shape_from_config({**latent, "mla_use_output_gate": True}).weights.parameters - plain
    heads, layers = DECODER["num_attention_heads"], DECODER["num_hidden_layers"]
    assert gate == layers * DECODER["hidden_size"] * heads * 128


def test_every_second_block_has_experts():
    found = from_config({**DECODER, **EXPERTS, "moe_layer_frequency": 2})
    assert [layer.moe for layer in found.layers] == [False, True] * 4


def test_experts_end_before_the_last_block():
    fields = {"moe_layer_start_index": 1, "moe_layer_end_index": 5}
    found = from_config({**DECODER, **EXPERTS, **fields})
    assert [layer.moe for layer in found.layers] == [False] + [True] * 5 + [False] * 2


def test_a_second_set_of_experts_for_images():
    text = {**DECODER, "moe_num_experts": 8, "moe_intermediate_size": 512, "moe_k": 2}
    both = {**text, "moe_num_experts": [8, 8], "moe_intermediate_size": [512, 128],
            "moe_layer_start_index": [0, 0], "moe_layer_end_index": [9, 8]}  # fmt: skip
    one, two = shape_from_config(text), shape_from_config(both)
    assert two.architecture.known
    added = two.weights.parameters - one.weights.parameters
    assert added == 8 * 3 * 1024 * 8 * 128
    assert two.weights.expert_bytes - one.weights.expert_bytes == 2 * added


@pytest.mark.parametrize(
    ("fields", "owners"),
    [
        ({"use_cla": True, "cla_share_factor": 2}, [0, 2, 4, 6]),
        ({"use_cla": True, "cla_share_factor": 4}, [0, 4]),
        ({"use_cla": False, "cla_share_factor": 2}, list(range(8))),
        ({"kv_source_layer_ids": [0, 3]}, [0, 3]),
        ({"kv_source_layer_ids": [0, 0, 0, 0, 4, 4, 4, 4]}, [0, 4]),
        ({"kv_reuse_group": [[1, 2], [4, 5, 6]]}, [0, 1, 3, 4, 7]),
        ({"num_kv_shared_layers": 3}, [0, 1, 2, 3, 4]),
    ],
)
def test_which_layers_own_a_cache(fields, owners):
    found = from_config({**DECODER, **fields})
    assert found.known
    assert [i for i, layer in enumerate(found.layers) if layer.owns_cache] == owners


def test_cross_layer_attention_shares_its_projections():
    plain = shape_from_config(DECODER).weights.parameters
    shared = shape_from_config({**DECODER, "use_cla": True, "cla_share_factor": 2})
    assert plain - shared.weights.parameters == 4 * 2 * 1024 * 4 * 128


@pytest.mark.parametrize(
    ("count", "group", "attending"),
    [(20, 5, [4, 9, 14, 19]), (8, 3, [2, 5, 6, 7]), (4, 1, [0, 1, 2, 3]), (80, 8, range(7, 80, 8))],
)
def test_the_last_of_each_layer_group_attends(count, group, attending):
    fields = {"num_hidden_layers": count, "layer_group_size": group, "head_dim": 128}
    found = from_config({**DECODER, **fields})
    assert found.known
    full = [i for i, layer in enumerate(found.layers) if layer.attention is Attention.FULL]
    assert full == list(attending)
    states = [layer.state for layer in found.layers if layer.attention is Attention.LINEAR]
    assert all(state.inner == 1024 and state.state == 128 for state in states)


def test_lightning_attention_projects_queries_keys_and_values():
    """Query, key, value, gate and output matrices of 1024 x 1024 in each linear layer."""
    fields = {"num_key_value_heads": 8, "layer_group_size": 8, "head_dim": 128}
    linear = shape_from_config({**DECODER, **fields}).weights.parameters
    full = shape_from_config({**DECODER, "num_key_value_heads": 8}).weights.parameters
    assert linear - full == pytest.approx(7 * 1024 * 1024, rel=0.02)


def test_key_value_groups_under_another_name():
    step = {k: v for k, v in DECODER.items() if k != "num_key_value_heads"}
    found = from_config({**step, "num_attention_groups": 1, "head_dim": 256, "share_q_dim": 512})
    assert found.known
    assert (found.layers[0].kv_heads, found.layers[0].key_length) == (1, 256)


def test_queries_through_a_low_rank():
    plain = shape_from_config(DECODER).weights.parameters
    ranked = shape_from_config({**DECODER, "share_q_dim": 256}).weights.parameters
    assert plain - ranked == 8 * (1024 * 1024 - 2 * 256 * 1024)


def test_a_latent_is_cached_only_with_its_whole_signature():
    whole = from_config({**DECODER, **LATENT, "v_head_dim": 64})
    assert {layer.attention for layer in whole.layers} == {Attention.MLA}
    part = from_config({**DECODER, **LATENT})
    layer = part.layers[0]
    assert layer.attention is Attention.FULL
    assert (layer.kv_heads, layer.key_length, layer.value_length) == (8, 96, 96)


def test_the_low_ranks_are_counted_where_heads_are_cached():
    whole = shape_from_config({**DECODER, **LATENT, "v_head_dim": 128}).weights.parameters
    part = shape_from_config({**DECODER, **LATENT}).weights.parameters
    assert part == whole


def test_two_attentions_and_two_dense_parts_per_layer():
    longcat = {k: v for k, v in DECODER.items() if k != "num_hidden_layers"} | {
        "model_type": "longcat_flash", "num_layers": 4, "ffn_hidden_size": 2048,
        "expert_ffn_hidden_size": 256, "n_routed_experts": 16, "zero_expert_num": 8,
        "zero_expert_type": "identity", "moe_topk": 2, "v_head_dim": 64, **LATENT,
    }  # fmt: skip
    del longcat["intermediate_size"]
    found = from_config(longcat)
    assert found.known
    assert len(found.layers) == 8
    assert [layer.moe for layer in found.layers] == [True, False] * 4
    assert {layer.feed_forward for layer in found.layers} == {2048}
    assert from_config({**longcat, "num_hidden_layers": 8}).layers == found.layers
