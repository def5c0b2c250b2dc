"""Checkpoints with more than one format: every matrix has the bits of the rule that is for it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.shape import from_config
from tests.memory.test_architecture import config

HIDDEN, WIDTH, LAYERS, VOCABULARY = 1024, 4096, 8, 32000
MLP = 3 * HIDDEN * WIDTH  # values of a block's feed-forward matrices
ATTENTION = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * 256
ENDS = 2 * HIDDEN * VOCABULARY  # embedding and head
NORMS = (2 * LAYERS + 1) * HIDDEN
INT4, INT8, FP8, NVFP4 = 4 + 20 / 128, 8 + 24 / 128, 8 + 32 / 16384, 4.5
LINEAR = {"targets": ["Linear"]}


def size(
    quantization: dict[str, Any] | None = None, hf: dict[str, Any] | None = None, **fields: Any
) -> int:
    if quantization is not None:
        fields["quantization_config"] = quantization
    whole = config(torch_dtype="bfloat16", **fields)
    return from_config(whole, hf_quant_config=hf).weights.total_bytes


def expected(
    mlp: float, attention: float, head: float = 16, mlp_layers: int = LAYERS, rest: float = 16
) -> float:
    """Bytes with these bits per weight; ``mlp_layers`` have ``mlp``, the others ``rest``."""
    blocks = mlp_layers * MLP * mlp + (LAYERS - mlp_layers) * MLP * rest
    ends = ENDS / 2 * (16 + head)
    return (blocks + LAYERS * ATTENTION * attention + ends + NORMS * 16) / 8


def weights(
    bits: int, kind: str = "float", group: int | None = None, **more: Any
) -> dict[str, Any]:
    strategy = "group" if group else "channel"
    return {"num_bits": bits, "type": kind, "group_size": group, "strategy": strategy,
            "symmetric": True, **more}  # fmt: skip


FP8_ATTENTION = {
    "targets": ["re:.*self_attn.*"],
    "weights": weights(8),
    "format": "float-quantized",
}
NVFP4_MLP = {"targets": ["re:.*mlp\\.(gate|up|down)_proj$"], "format": "nvfp4-pack-quantized",
             "weights": weights(4, group=16, strategy="tensor_group")}  # fmt: skip
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
ROUND = {"quant_method": "auto-round", "bits": 4, "group_size": 128, "data_type": "int"}
QUARK_INT4 = {"weight": {"dtype": "int4", "qscheme": "per_group", "group_size": 128}}
QUARK_FP8 = {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}


def groups(*listed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": "mixed-precision",
            "config_groups": {f"group_{i}": group for i, group in enumerate(listed)},
            "ignore": ["lm_head"], **more}  # fmt: skip


@pytest.mark.parametrize("order", [(FP8_ATTENTION, NVFP4_MLP), (NVFP4_MLP, FP8_ATTENTION)])
def test_groups_whatever_their_order(order):
    assert size(groups(*order)) == pytest.approx(expected(NVFP4, FP8), rel=1e-6)
    assert from_config(config(quantization_config=groups(*order))).quantization == "NVFP4"


def test_a_group_for_named_modules_comes_before_one_for_the_class():
    rest = {"targets": ["Linear"], "weights": weights(4, "int", 128)}
    named = {
        "targets": ["re:.*down_proj$", "model.layers.0.self_attn.q_proj"],
        "weights": weights(8),
    }
    found = size(groups(rest, named))
    int4 = 4 + 16 / 128
    mlp = (2 * int4 + FP8) / 3
    first = HIDDEN * HIDDEN * (FP8 - int4) / 8
    assert found == pytest.approx(expected(mlp, int4) + first, rel=1e-6)


def test_what_no_group_names_stays_as_it_is():
    assert size(groups(NVFP4_MLP)) == pytest.approx(expected(NVFP4, 16), rel=1e-6)


def test_an_ignored_module_of_a_group():
    ignored = groups(NVFP4_MLP, ignore=["lm_head", "re:.*layers\\.0\\..*"])
    assert size(ignored) == pytest.approx(expected(NVFP4, 16, mlp_layers=7), rel=1e-6)


def test_the_head_is_quantized_where_a_group_names_it():
    head = {"targets": ["lm_head"], "weights": weights(8)}
    found = size(groups(NVFP4_MLP, head, ignore=[]))
    assert found == pytest.approx(expected(NVFP4, 16, head=FP8), rel=1e-6)


def test_one_group_for_all_linear_layers_is_the_plain_format():
    one = groups({**LINEAR, "weights": weights(8)}, format="float-quantized")
    assert size(one) == size({"quant_method": "fp8"})


@pytest.mark.parametrize(
    ("dynamic", "wanted"),
    [
        ({"-:.*\\.mlp\\..*": {}}, expected(16, INT4)),
        ({"-:model\\.layers\\.[0-3]\\..*mlp.*": {}}, expected(INT4, INT4, mlp_layers=4)),
        ({"+:.*\\.mlp\\..*": {"bits": 8}}, expected(INT8, INT4)),
        ({".*\\.mlp\\..*": {"bits": 8, "group_size": 64}}, expected(8 + 24 / 64, INT4)),
        ({"+:.*down_proj": {"bits": 8}, "-:.*mlp.*": {}},
         expected((2 * 16 + INT8) / 3, INT4)),
        ({"-:.*mlp.*": {}, "+:.*down_proj": {"bits": 8}}, expected(16, INT4)),
        ({}, expected(INT4, INT4)),
    ],
)  # fmt: skip
def test_gptq_dynamic_the_first_rule_decides(dynamic, wanted):
    assert size({**GPTQ, "dynamic": dynamic}) == pytest.approx(wanted, rel=1e-6)


def test_gptq_of_some_modules_and_of_the_head():
    some = {
        **GPTQ,
        "modules_in_block_to_quantize": [["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"]],
    }
    assert size(some) == pytest.approx(expected(INT4, 16), rel=1e-6)
    assert size({**GPTQ, "lm_head": True}) == pytest.approx(expected(INT4, INT4, INT4), rel=1e-6)


def test_autoround_extra_config():
    exact = {f"model.layers.{i}.mlp.{m}_proj": {"bits": 16, "data_type": "float"}
             for i in range(4) for m in ("gate", "up", "down")}  # fmt: skip
    wanted = expected(INT4, INT4, mlp_layers=4)
    assert size({**ROUND, "extra_config": exact}) == pytest.approx(wanted, rel=1e-6)
    pattern = {r"layers\.[0-3]\.mlp": {"bits": 16}}
    assert size({**ROUND, "extra_config": pattern}) == pytest.approx(wanted, rel=1e-6)
    eight = {".*self_attn.*": {"bits": 8}}
    assert size({**ROUND, "extra_config": eight}) == pytest.approx(expected(INT4, INT8), rel=1e-6)


def test_modelopt_lists_modules_with_their_algorithms():
    layers = {f"model.layers.{i}.mlp.{m}_proj": {"quant_algo": "NVFP4", "group_size": 16}
              for i in range(8) for m in ("gate", "up", "down")}  # fmt: skip
    layers |= {f"model.layers.{i}.self_attn.{m}_proj": {"quant_algo": "W4A16_AWQ", "group_size": 64}
               for i in range(8) for m in "qkvo"}  # fmt: skip
    mixed = {"quantization": {"quant_algo": "MIXED_PRECISION", "quantized_layers": layers}}
    assert size(hf=mixed) == pytest.approx(expected(NVFP4, 4 + 16 / 64), rel=1e-6)


@pytest.mark.parametrize(
    ("algorithm", "label", "bits"),
    [
        ("NVFP4", "NVFP4", 4.5), ("NVFP4_AWQ", "NVFP4", 4.5), ("FP8", "FP8", FP8),
        ("FP8_PER_CHANNEL_PER_TOKEN", "FP8", FP8), ("MXFP8", "MXFP8", 8.25),
        ("W4A16_AWQ", "INT4", 4.125), ("W4A8_AWQ", "W4A8", 4.125), ("W8A16", "W8A16", 8.01),
        ("W8A8_SQ_PER_CHANNEL", "INT8", 8.01), ("W4A8_MXFP4_FP8", "MXFP4", 4.25),
        ("W4A8_NVFP4_FP8", "NVFP4", 4.5),
    ],
)  # fmt: skip
def test_modelopt_algorithms(algorithm, label, bits):
    own = {"quant_method": "modelopt", "quant_algo": algorithm}
    assert from_config(config(quantization_config=own)).quantization == label
    assert size(own) == pytest.approx(expected(bits, bits), rel=1e-6)


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"global_quant_config": QUARK_INT4}, expected(4.125, 4.125)),
        ({"global_quant_config": QUARK_FP8}, expected(FP8, FP8)),
        ({"global_quant_config": QUARK_FP8, "layer_quant_config": {"*mlp*": QUARK_INT4}},
         expected(4.125, FP8)),
        ({"global_quant_config": QUARK_INT4, "exclude": ["lm_head", "re:.*mlp.*"]},
         expected(16, 4.125)),
        ({"global_quant_config": {"weight": {"dtype": "fp4", "group_size": 32}}},
         expected(4.25, 4.25)),
        ({"global_quant_config": {"weight": [{"dtype": "fp8_e4m3"}, {"dtype": "int4",
                                                                   "group_size": 128}]}},
         expected(4.125, 4.125)),
        ({"layer_quant_config": {"*self_attn*": QUARK_FP8}}, expected(16, FP8)),
    ],
)  # fmt: skip
def test_quark_mixes(more, wanted):
    assert size({"quant_method": "quark", **more}) == pytest.approx(wanted, rel=1e-6)


MLX = {"group_size": 64, "bits": 4, "mode": "affine"}


@pytest.mark.parametrize(
    ("more", "bits"),
    [({}, 4.5), ({"bits": 8}, 8.5), ({"group_size": 32}, 5.0), ({"mode": "mxfp4"}, 4.25),
     ({"bits": 3}, 3.5)],
)  # fmt: skip
def test_mlx_quantizes_every_matrix(more, bits):
    """Embedding and head, too; a scale and an offset of 16 bits per group."""
    found = from_config(config(torch_dtype="bfloat16", quantization={**MLX, **more}))
    wanted = (LAYERS * (MLP + ATTENTION) + ENDS) * bits / 8 + 2 * NORMS
    assert found.format == "mlx"
    assert found.weights.total_bytes == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_no_engine_here_runs_mlx(backend):
    shape = from_config(config(torch_dtype="bfloat16", quantization=MLX))
    with pytest.raises(NotDeployableError, match="does not run MLX files"):
        estimate(shape, Workload(), None, model="m", backend=backend)


def test_mlx_modules_may_differ():
    down = {f"model.layers.{i}.mlp.down_proj": {"group_size": 64, "bits": 8} for i in range(LAYERS)}
    found = size(quantization={**MLX, **down, "lm_head": False})
    mlp = (2 * 4.5 + 8.5) / 3
    wanted = (LAYERS * (MLP * mlp + ATTENTION * 4.5) + ENDS / 2 * (4.5 + 16)) / 8 + 2 * NORMS
    assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    ("own", "bits"),
    [
        ({"quant_method": "hqq", "quant_config":
          {"weight_quant_params": {"nbits": 4, "group_size": 64}}}, 4.5),
        ({"quant_method": "torchao", "quant_type":
          {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}}, 4.25),
        ({"quant_method": "torchao", "quant_type": "float8_weight_only"}, FP8),
        ({"quant_method": "exl3", "bits": 3.5}, 3.5),
        ({"quant_method": "fp_quant", "forward_dtype": "nvfp4"}, 4.5),
    ],
)  # fmt: skip
def test_formats_that_state_their_bits(own, bits):
    assert size(own) == pytest.approx(expected(bits, bits), rel=1e-6)


def test_exllama_quantizes_the_head_to_bits_of_its_own():
    plain = size({"quant_method": "exl3", "bits": 3.5})
    head = size({"quant_method": "exl3", "bits": 3.5, "head_bits": 6})
    table = config()["vocab_size"] * config()["hidden_size"]
    assert plain - head == pytest.approx(table * (16 - 6) / 8, rel=1e-6)


@pytest.mark.parametrize(
    "own",
    [
        {"quant_method": "something-new"},
        {"quant_method": "vptq", "config_for_layers": {"a": {}}},
        {**GPTQ, "per_module_bits": {"mlp": 8}},
        {"quant_method": "compressed-tensors", "format": "pack-quantized",
         "sparsity_config": {"format": "sparse-24-bitmask"}},
        {"quant_method": "quark", "global_quant_config": QUARK_FP8,
         "layer_type_quant_config": {"Conv1d": QUARK_INT4}},
    ],
)  # fmt: skip
def test_what_is_not_known_of_a_format_is_a_range_that_says_so(own):
    shape = from_config(config(quantization_config=own))
    assert shape.weights.basis == "range"
    found = estimate(shape, Workload(context_tokens=1024), None, model="m", backend="vllm")
    assert found.basis == "range"
    notes = (*found.assumptions, *found.warnings)
    assert any("quantization_config" in note or "bits per weight" in note for note in notes)


def test_files_settle_it():
    own = {"quant_method": "something-new"}
    shape = from_config(config(quantization_config=own), weight_bytes=123_456_789)
    assert (shape.weights.total_bytes, shape.weights.basis) == (123_456_789, "exact")
    assert not shape.architecture.notes


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-4, 1 << 40), st.floats(), st.text(max_size=6),
    st.sampled_from(["re:.*mlp.*", "Linear", "lm_head", "int4", "fp8_e4m3", "affine", "re:(", "*"]),
)  # fmt: skip
NESTED = ["weights", "weight", "targets", "num_bits", "group_size", "type", "format", "bits",
          "quant_algo", "dtype", "_type", "_data", "default", "-:.*mlp.*", "+:a", "re:(",
          "input_activations", "model.layers.0.mlp.up_proj"]  # fmt: skip
tables = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NESTED), inner, max_size=4)
    ),
    max_leaves=8,
)
methods = st.sampled_from(
    ["gptq", "compressed-tensors", "quark", "modelopt", "auto-round", "torchao", "hqq", "exl3",
     "mlx", "fp8", "bitsandbytes", "aqlm", "new", None, 4]
)  # fmt: skip
KEYS = ["bits", "group_size", "dynamic", "config_groups", "ignore", "exclude", "extra_config",
        "layer_quant_config", "global_quant_config", "quantized_layers", "quant_algo",
        "quant_type", "quant_config", "kv_cache_scheme", "kv_cache_quant_algo", "lm_head",
        "modules_in_block_to_quantize", "modules_to_not_convert", "mode", "format",
        "sparsity_config", "data_type", "exclude_modules"]  # fmt: skip


@given(method=methods, own=st.dictionaries(st.sampled_from(KEYS), tables, max_size=5))
@settings(max_examples=400, deadline=None)
def test_any_quantization_config_ends_in_a_size_or_a_named_error(method, own):
    try:
        found = from_config(
            config(num_hidden_layers=2, quantization_config=own | {"quant_method": method})
        )
    except UsageError:
        return
    assert found.weights.total_bytes > 0
    assert math.isfinite(found.weights.total_bytes)


def test_experts_and_attention_of_different_groups():
    """W4A16 experts, FP8 attention and shared experts, the router as it is."""
    experts = {"num_experts": 16, "num_experts_per_tok": 2, "moe_intermediate_size": 512,
               "n_shared_experts": 1, "tie_word_embeddings": False}  # fmt: skip
    four = {"targets": ["re:.*mlp\\.experts\\.\\d+\\.(gate|up|down)_proj$"],
            "weights": weights(4, "int", 128)}  # fmt: skip
    eight = {"targets": ["re:.*self_attn\\.[qkvo]_proj$", "re:.*shared_expert.*"],
             "weights": weights(8)}  # fmt: skip
    routed, shared = 16 * 3 * HIDDEN * 512, 3 * HIDDEN * 512
    blocks = LAYERS * (routed * 4.125 + (shared + ATTENTION) * FP8 + 16 * HIDDEN * 16)
    wanted = (blocks + (ENDS + NORMS) * 16) / 8
    for order in ((four, eight), (eight, four)):
        assert size(groups(*order), **experts) == pytest.approx(wanted, rel=1e-6)
