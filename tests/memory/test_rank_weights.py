"""Weights per GPU, version tables, and the config fields that only serving engines need."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import (
    Architecture,
    Attention,
    Experts,
    Latent,
    Layer,
    ModelShape,
    Weights,
)
from modelscan.core.units import MIB
from modelscan.engines import versions as engine_versions
from modelscan.engines.sglang import versions as sglang_versions
from modelscan.engines.vllm import versions as vllm_versions
from modelscan.memory.rank_weights import (
    Ranks,
    latent_copies_bytes,
    mtp_bytes,
    rank_bytes,
    rope_table_bytes,
    stage_layers,
)
from modelscan.memory.shape import from_config


def shape(layers: int = 12, heads: int = 32, kv: int = 8, mtp: int = 0) -> ModelShape:
    layer = Layer(Attention.FULL, heads, kv, 128, 128, feed_forward=4096)
    architecture = Architecture("x", (layer,) * layers, 4096, 32000, 8192, mtp_layers=mtp)
    each = 100 * MIB
    ends = 250 * MIB
    total = 2 * ends + (layers + mtp) * each
    weights = Weights(total, "exact", embedding_bytes=ends, output_bytes=ends,
                      layer_bytes=(each,) * layers)  # fmt: skip
    return ModelShape(architecture, weights, "safetensors", None)


def test_one_gpu_holds_the_file() -> None:
    found = shape()
    assert rank_bytes(found, Ranks(), 0) == found.weights.total_bytes


def test_prediction_blocks_load_only_for_speculation() -> None:
    found = shape(mtp=2)
    assert mtp_bytes(found) == 200 * MIB
    assert rank_bytes(found, Ranks(), 0) == found.weights.total_bytes - 200 * MIB
    assert rank_bytes(found, Ranks(), 0, mtp=True) == found.weights.total_bytes
    unknown = replace(found, weights=replace(found.weights, layer_bytes=()))
    assert mtp_bytes(unknown) == 200 * MIB


@settings(max_examples=50, deadline=None)
@given(layers=st.integers(1, 64), stages=st.integers(1, 8))
def test_pipeline_stages_add_up_to_the_file(layers: int, stages: int) -> None:
    if stages > layers:
        stages = layers
    found = shape(layers)
    ranks = Ranks(1, stages)
    sizes = [len(stage_layers(found.architecture, ranks, stage)) for stage in range(stages)]
    assert sum(sizes) == layers
    assert max(sizes) - min(sizes) <= 1 + (stages == 1)
    total = sum(rank_bytes(found, ranks, stage) for stage in range(stages))
    assert total == found.weights.total_bytes


@settings(max_examples=50, deadline=None)
@given(tensor=st.sampled_from([1, 2, 4, 8, 16]), kv=st.sampled_from([1, 2, 4, 8, 16]))
def test_tensor_parallel_never_holds_less_than_its_share(tensor: int, kv: int) -> None:
    found = shape(kv=kv)
    each = rank_bytes(found, Ranks(tensor), 0)
    assert each >= found.weights.total_bytes // tensor
    assert each <= found.weights.total_bytes // tensor + 40 * MIB + (tensor > kv) * 300 * MIB


def test_shared_kv_heads_are_copied_whole() -> None:
    two = shape(kv=2)
    eight = rank_bytes(two, Ranks(8), 0) - two.weights.total_bytes / 8
    # 12 layers x 4096 x 256 x 2 bytes of one head, less the quarter every GPU would have anyway
    assert eight == pytest.approx(12 * 4096 * 256 * 2 * 0.75, rel=0.02)


def test_a_tied_head_needs_the_embedding_on_the_last_stage_too() -> None:
    found = shape()
    tied = replace(
        found,
        architecture=replace(found.architecture, tied_embeddings=True),
        weights=replace(
            found.weights, output_bytes=0, total_bytes=found.weights.total_bytes - 250 * MIB
        ),
    )
    assert rank_bytes(tied, Ranks(1, 2), 0) == rank_bytes(tied, Ranks(1, 2), 1) == 850 * MIB


def test_dtype_float32_doubles_only_what_is_not_quantised() -> None:
    found = shape()
    assert rank_bytes(found, Ranks(), 0, dtype="float32") == 2 * found.weights.total_bytes
    packed = replace(found, architecture=replace(found.architecture, quantization="FP8"))
    assert rank_bytes(packed, Ranks(), 0, dtype="float32") == found.weights.total_bytes


def test_mxfp4_experts_are_padded_per_gpu() -> None:
    """2880 -> 3072 inputs, 1440 -> 1536 outputs on two GPUs."""
    found = shape()
    experts = Experts(32, 4, 2880)
    architecture = replace(found.architecture, hidden=2880, quantization="MXFP4", experts=experts)
    weights = replace(found.weights, expert_bytes=1200 * MIB)
    padded = replace(found, architecture=architecture, weights=weights)
    plain = replace(padded, architecture=replace(architecture, quantization="FP8"))
    extra = rank_bytes(padded, Ranks(2), 0) - rank_bytes(plain, Ranks(2), 0)
    assert extra == pytest.approx(600 * MIB * (3072 / 2880 * 1536 / 1440 - 1), rel=1e-6)


def test_latent_projections_are_kept_in_a_second_form() -> None:
    found = shape()
    layer = Layer(Attention.MLA, 128, 128, 192, 128)
    latent = Latent(512, 64, nope_length=128, value_length=128)
    architecture = replace(found.architecture, layers=(layer,) * 61, latent=latent)
    whole = latent_copies_bytes(architecture, architecture.layer_counts, 1)
    assert whole == 61 * 128 * 512 * 256 * 2
    assert latent_copies_bytes(architecture, architecture.layer_counts, 8) == whole // 8
    assert latent_copies_bytes(found.architecture, found.architecture.layer_counts, 1) == 0


def config(**more: object) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256,
        "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 1000,
        "max_position_embeddings": 1024, **more,
    }  # fmt: skip


def rope(**more: object) -> int:
    return rope_table_bytes(from_config(config(**more)).architecture, 2)


def test_rope_tables_follow_the_scaling() -> None:
    plain = 1024 * 64 * 2
    assert rope() == plain
    assert rope(rope_scaling={"rope_type": "linear", "factor": 8.0}) == 8 * plain
    assert rope(rope_scaling={"type": "yarn", "factor": 4.0}) == plain
    both = {"rope_type": "linear", "factor": 8.0}
    assert rope(rope_scaling=both, rope_local_base_freq=10000.0) == 9 * plain
    assert rope(partial_rotary_factor=0.5) == plain // 2


def test_windowed_layers_have_a_rope_table_as_wide_as_their_heads() -> None:
    kinds = ["sliding_attention", "full_attention"]
    tables = {kind: {"rope_theta": 1e4, "rope_type": "default"} for kind in kinds}
    wide = rope(layer_types=kinds, sliding_window=64, global_head_dim=128, rope_parameters=tables)
    assert wide == 1024 * (64 + 128) * 2


@pytest.mark.parametrize("stated", [{"position_embedding_type": "nope"}, {"alibi": True}])
def test_models_that_rotate_nothing_have_no_rope_table(stated: dict[str, object]) -> None:
    assert rope(**stated) == 0
    assert rope(position_embedding_type="rope") > 0


def test_fields_that_only_serving_engines_need() -> None:
    architecture = from_config(
        config(
            mamba_ssm_dtype="float32",
            vision_config={"num_hidden_layers": 27, "hidden_size": 1152, "num_heads": 16},
            quantization_config={"quant_method": "fp8", "weight_block_size": [128, 128]},
        )
    ).architecture
    assert architecture.extra["mamba_ssm_dtype"] == "float32"
    assert architecture.extra["vision_layers"] == 27
    assert architecture.extra["vision_hidden"] == 1152
    assert architecture.extra["weight_block_size"] == 128


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.19.0", (0, 19, 0)),
        ("v0.32", (0, 32, 0)),
        ("0.20.2rc1.dev249+local", (0, 20, 2)),
        ("latest", engine_versions.NEWEST),
        ("2026-08", engine_versions.NEWEST),
        (None, engine_versions.NEWEST),
    ],
)
def test_versions_as_people_write_them(text: str | None, version: tuple[int, int, int]) -> None:
    assert engine_versions.parse_version(text) == version


def test_version_tables_run_from_old_to_new_and_name_their_sources() -> None:
    for table in (vllm_versions.VERSIONS, sglang_versions.VERSIONS):
        since = [row.since for row in table]
        assert since == sorted(since)
        assert len(set(since)) == len(since)
        assert all(len(row.source) > 20 for row in table)
    assert vllm_versions.facts_for("0.1").since == (0, 0, 0)
    assert vllm_versions.facts_for("99.0") is vllm_versions.VERSIONS[-1]
    assert vllm_versions.facts_for(None) is vllm_versions.facts_for("0.32.0")
