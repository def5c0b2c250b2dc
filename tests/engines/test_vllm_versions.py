"""What a vLLM version and a vendor change, and the parts that only some models have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelscan.core.architecture import Architecture, Attention, Latent, Layer, RecurrentState
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.vllm import kv_pool, overhead
from modelscan.engines.vllm.activation import activation_bytes
from modelscan.engines.vllm.settings import VllmSettings, resolve
from modelscan.engines.vllm.versions import facts_for
from modelscan.memory.shape import from_config

LAYER = Layer(Attention.FULL, 32, 8, 128, 128, feed_forward=14336)
DENSE = Architecture("llama", (LAYER,) * 32, 4096, 128256, 131072)
STATE = RecurrentState(conv_kernel=4, inner=4096, state=128, groups=16, heads=32)
HYBRID = replace(DENSE, name="qwen3_5", layers=(Layer(Attention.LINEAR, state=STATE), LAYER) * 16)
EXPERTS = replace(DENSE, name="qwen3_moe", layers=(replace(LAYER, moe=True),) * 32)


def settings(
    architecture: Architecture, version: str, *, vendor: str = "nvidia", memory: int = 80,
    capability: str = "9.0", context: int = 8192, **options: str | None,
) -> VllmSettings:  # fmt: skip
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    gpu = Gpu(0, "card", vendor, memory * GIB, memory * GIB, "simulated",
              compute_capability=capability)  # fmt: skip
    wanted = Workload(context_tokens=context, parameters=parameters)
    return resolve(architecture, wanted, Inventory((gpu,), Host(8, None, None)), facts_for(version))


@pytest.mark.parametrize(
    ("version", "model", "quantization", "second"),
    [
        ("0.21.0", DENSE, None, False), ("0.22.0", DENSE, None, False),
        ("0.22.0", replace(DENSE, name="qwen3"), None, True), ("0.23.0", DENSE, None, True),
        ("0.23.0", DENSE, "FP8", False), ("0.24.0", DENSE, "FP8", True),
        ("0.24.0", replace(DENSE, name="qwen2"), None, False),
        ("0.25.0", replace(DENSE, name="qwen2"), None, True), ("0.30.0", EXPERTS, None, False),
        ("0.30.0", HYBRID, None, False), ("0.31.0", EXPERTS, None, True),
    ],
)  # fmt: skip
def test_which_model_runner_runs_a_model(
    version: str, model: Architecture, quantization: str | None, second: bool
) -> None:
    found = settings(replace(model, quantization=quantization), version)
    assert found.v2_runner is second
    later = version >= "0.29"  # its profile measures graphs from 0.29 on
    assert found.charges_graphs is (version >= "0.20" and (later or not second))


def test_the_second_runner_profiles_one_float32_copy_of_the_logits() -> None:
    """0.23.0 log of a 1B Llama, 256 sequences: 0.24 GiB of activation."""
    layer = Layer(Attention.FULL, 16, 2, 128, 128, feed_forward=4608)
    small = Architecture("llama", (layer,) * 24, 1536, 130560, 131072)
    found = settings(small, "0.23.0", memory=23)
    peak = activation_bytes(small, (layer,), found, facts_for("0.23.0"), last_stage=True)
    assert peak / GIB == pytest.approx(0.24, abs=0.01)


@pytest.mark.parametrize(
    ("version", "model", "options", "caches"),
    [
        ("0.25.0", HYBRID, {}, False), ("0.26.0", HYBRID, {}, True),
        ("0.19.0", HYBRID, {"enable_prefix_caching": None}, True), ("0.19.0", DENSE, {}, True),
        ("0.26.0", HYBRID, {"no_enable_prefix_caching": None}, False),
    ],
)  # fmt: skip
def test_states_are_cached_by_default_in_newer_versions(
    version: str, model: Architecture, options: dict[str, None], caches: bool
) -> None:
    assert settings(model, version, **options).prefix_caching is caches


def test_rocm_counts_what_its_driver_gave_out_and_charges_no_graphs() -> None:
    shape = from_config({
        "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 128256,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
    })  # fmt: skip
    old = settings(shape.architecture, "0.13.0", vendor="amd")
    new = settings(shape.architecture, "0.21.0", vendor="amd")
    assert overhead.driver_bytes(shape, old, facts_for("0.13.0")) == round(0.26 * GIB)
    assert overhead.driver_bytes(shape, new, facts_for("0.21.0")) == 0
    assert not new.charges_graphs
    counts = shape.architecture.layer_counts
    graphs = overhead.graph_bytes(shape.architecture, counts, old, facts_for("0.13.0"))
    assert graphs / GIB == pytest.approx(0.65 + 32 * 0.0125)


def test_only_sizes_that_the_requests_reach_have_full_graphs() -> None:
    """Logs of 0.22 to 0.24: "captures 35+19" at 128 sequences, 51+35 at 256, 5+4 at 8."""
    for sequences, sizes in ((128, (35, 19)), (256, (51, 35)), (8, (5, 4))):
        found = settings(DENSE, "0.22.0", max_num_seqs=str(sequences))
        assert (found.capture_sizes, found.full_sizes) == sizes
    drafted = settings(
        DENSE, "0.22.0", max_num_seqs="64", max_cudagraph_capture_size="256",
        speculative_config='{"method": "mtp", "num_speculative_tokens": 3}',
    )  # fmt: skip
    assert (drafted.capture_sizes, drafted.full_sizes) == (35, 35)
    few = settings(replace(DENSE, name="gpt_oss"), "0.22.0", max_num_seqs="32")
    assert (few.capture_sizes, few.full_sizes) == (83, 7)


VISION = {
    "model_type": "qwen2_5_vl", "hidden_size": 3584, "num_hidden_layers": 28, "vocab_size": 152064,
    "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
    "vision_config": {
        "model_type": "qwen2_5_vl", "depth": 32, "hidden_size": 1280, "intermediate_size": 3420,
        "num_heads": 16, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "hidden_act": "silu", "fullatt_block_indexes": [7, 15, 23, 31], "out_hidden_size": 3584,
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("context", "options", "gib"),
    [
        (128_000, {}, 14.1),  # a log: 15.5 GiB with what is not torch's; a video of 14 frames
        (16_384, {}, 2.0),  # one image of 16,384 tokens
        (128_000, {"limit_mm_per_prompt": '{"video": 0}'}, 2.0),
        (128_000, {"language_model_only": None}, 0.585),
        (128_000, {"skip_mm_profiling": None}, 0.585),
    ],
)  # fmt: skip
def test_a_vision_tower_of_any_resolution_is_profiled_with_its_largest_input(
    context: int, options: dict[str, str | None], gib: float
) -> None:
    architecture = from_config(VISION).architecture
    found = settings(architecture, "0.21.0", memory=48, context=context, **options)
    peak = activation_bytes(
        architecture, architecture.layers, found, facts_for("0.21.0"), last_stage=True
    )
    assert peak / GIB == pytest.approx(gib, rel=0.05)


SPARSE = {
    "model_type": "glm_moe_dsa", "hidden_size": 6144, "num_hidden_layers": 4, "vocab_size": 154880,
    "num_attention_heads": 64, "num_key_value_heads": 64, "intermediate_size": 12288,
    "kv_lora_rank": 512, "q_lora_rank": 2048, "qk_nope_head_dim": 192, "qk_rope_head_dim": 64,
    "v_head_dim": 256, "index_head_dim": 128, "index_n_heads": 32, "index_topk": 2048,
    "max_position_embeddings": 202752, "architectures": ["GlmMoeDsaForCausalLM"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("types", "capability", "token_bytes"),
    [
        (["full"] * 4, "12.0", 4 * (656 + 132)),  # GLM-5.1: 61,464 bytes of 78 layers
        (["full", "shared", "shared", "shared"], "12.0", 4 * 656 + 132),
        (["full", "shared", "shared", "shared"], "10.0", 4 * 576 + 132),  # FlashInfer's kernels
        (["full"] * 4, "9.0", 4 * (656 + 132)),
    ],
)
def test_layers_that_share_an_indexer_have_no_keys_of_it(
    types: list[str], capability: str, token_bytes: int
) -> None:
    architecture = from_config(SPARSE | {"indexer_types": types}).architecture
    assert isinstance(architecture.latent, Latent)
    found = settings(architecture, "0.24.0", capability=capability, kv_cache_dtype="fp8")
    assert (
        sum(
            n * kv_pool.token_bytes(architecture, layer, found)
            for layer, n in architecture.layer_counts
        )
        == token_bytes
    )


def test_the_table_of_multimodal_positions_is_four_times_as_long() -> None:
    """Qwen3.5-4B: 0.125 GiB in the logs, 262,144 x 64 x 2 bytes x 4."""
    from modelscan.memory.rank_weights import rope_table_bytes

    config = {
        "model_type": "qwen3_5", "hidden_size": 2560, "num_hidden_layers": 4, "vocab_size": 248320,
        "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 256,
        "intermediate_size": 9216, "max_position_embeddings": 262144,
        "rope_parameters": {"mrope_section": [11, 11, 10], "partial_rotary_factor": 0.25},
    }  # fmt: skip
    architecture = from_config(config).architecture
    assert rope_table_bytes(architecture, 2, m_rope_lengths=4) == GIB // 8
    assert rope_table_bytes(architecture, 2) == GIB // 32
