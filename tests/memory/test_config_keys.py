"""A key of config.json that nothing reads: named, and the estimate is a range."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.errors import UsageError
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.architecture.config_keys import HARMLESS_WORDS
from modelscan.memory.architecture.from_config import from_config, read
from modelscan.memory.architecture.harmless_keys import HARMLESS, TOWERS
from modelscan.memory.shape import from_config as shape_from_config
from tests.memory.test_architecture import config

SNAPSHOTS = Path(__file__).resolve().parents[2] / "catalogs" / "snapshots"
EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 512}
BASES = (
    config(),
    config(**EXPERTS),
    config(sliding_window=512, layer_types=["sliding_attention", "full_attention"] * 4),
    config(kv_lora_rank=128, q_lora_rank=256, qk_rope_head_dim=32, qk_nope_head_dim=64,
           v_head_dim=64),
    config(full_attention_interval=4, linear_num_value_heads=8, linear_key_head_dim=64),
)  # fmt: skip
SPECIAL = ("quantization", "quantization_config", "compression_config")
SHAPE_WORDS = ("num", "heads", "kv", "layers", "size", "dim", "experts", "shared", "groups", "rank",
               "cache", "window", "blocks", "states", "gate", "ratio", "mlp", "attn", "q", "every")  # fmt: skip
values = st.one_of(
    st.integers(-1, 1 << 16), st.floats(0, 100), st.booleans(), st.sampled_from(["auto", "full"]),
    st.lists(st.integers(0, 64), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(SHAPE_WORDS), st.integers(1, 64), min_size=1, max_size=3),
)  # fmt: skip
names = st.one_of(
    st.lists(st.sampled_from(SHAPE_WORDS), min_size=2, max_size=4).map("_".join),
    st.from_regex(r"[a-z]{2,10}(_[a-z0-9]{1,8}){0,3}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("key", "value", "basis"),
    [
        ("num_conv_kernels", 3, "range"),
        ("use_new_kernels", True, "computed"),  # which code runs
        ("sparse_attention_config", {"sparse_topk_blocks": 16}, "computed"),
        ("sparse_attention_config", {"sparse_value_heads": 4}, "range"),
    ],
)
def test_words_and_tables_that_are_harmless_only_in_part(key: str, value: Any, basis: str) -> None:
    shape = shape_from_config(config(**{key: value}))
    assert estimate(shape, Workload(), None, model="m", backend="vllm").basis == basis


@given(base=st.sampled_from(BASES), name=names, value=values, nested=st.booleans())
@settings(max_examples=300, deadline=None)
def test_a_key_without_a_reader_is_never_computed(base, name, value, nested):
    """Either a reader looked the key up, or the architecture names it and is not known."""
    changed = {**base, name: value}
    whole = {"model_type": "wrapper", "text_config": changed} if nested else changed
    try:
        found, fields = read(whole)
    except UsageError:
        return  # a size that no model has
    looked_up = {entry for group in fields.names for entry in group}
    if name in looked_up | HARMLESS or HARMLESS_WORDS.search(name) or name in SPECIAL:
        return
    assert not found.known
    assert any(f"text_config.{name}" if nested else name in note for note in found.notes)


@pytest.mark.parametrize("base", BASES)
def test_the_bases_are_read_completely(base):
    assert from_config(base).known


@pytest.mark.parametrize(
    "where",
    [
        lambda key: config(**key),
        lambda key: {"model_type": "wrapper", "text_config": config(), **key},
        lambda key: {"text_config": config(**key)},
        lambda key: config(attn_config={"kv_n_heads": 4, **key}),
        lambda key: config(vision_config={"hidden_size": 64, "depth": 2, **key}),
        lambda key: config(linear_attn_config={"num_heads": 4, "head_dim": 64,
                                               "kda_layers": [1], **key}),
    ],
    ids=["top", "wrapper", "text_config", "attn_config", "vision_config", "linear_attn_config"],
)  # fmt: skip
def test_wherever_it_stands(where):
    found = from_config(where({"kv_share_every": 4}))
    assert not found.known
    assert "kv_share_every" in found.notes[-1]


def test_a_second_language_model_is_not_ignored():
    found = from_config({"text_config": config(), "decoder": config(num_hidden_layers=4)})
    assert any("decoder" in note for note in found.notes)


@pytest.mark.parametrize(
    "fields",
    [
        {"bos_token_id": 1, "rope_theta": 1e6, "rms_norm_eps": 1e-6, "use_cache": True},
        {"attention_dropout": 0.0, "initializer_range": 0.02, "router_aux_loss_coef": 0.001},
        {"some_dropout": 0.1, "my_special_token_id": 5, "head_groups": None, "pruned_heads": {}},
        {"is_encoder_decoder": False, "auto_map": {"AutoConfig": "x"}, "rope_scaling": {"type": "yarn"}},
    ],
)  # fmt: skip
def test_keys_that_change_nothing_change_nothing(fields):
    found, plain = from_config(config(**fields)), from_config(config())
    positions = {name: v for name, v in found.extra.items() if name != "rope_parameters"}
    assert replace(found, extra=positions, checkpoint=plain.checkpoint) == plain


def test_encoder_and_decoder_together_are_not_computed():
    assert not from_config(config(is_encoder_decoder=True)).known


def test_one_value_per_layer_where_one_for_all_is_read_is_a_range():
    found = from_config(config(**EXPERTS | {"num_experts": [8, 8, 4, 4, 8, 8, 4, 4]}))
    assert not found.known
    assert found.notes == (
        "num_experts lists different values: the largest is counted, the estimate is a range",
    )


@pytest.mark.parametrize("backend", ["vllm", "sglang", "llama.cpp"])
def test_the_estimate_is_a_range_and_names_the_key(backend):
    file_format = "gguf" if backend == "llama.cpp" else "safetensors"
    shape = shape_from_config(config(torch_dtype="bfloat16", kv_group_every=3), format=file_format)
    found = estimate(shape, Workload(context_tokens=4096), None, model="m", backend=backend)
    assert found.basis == "range"
    assert found.low_bytes is not None and found.low_bytes < found.total_bytes
    assert any("kv_group_every" in note for note in (*found.assumptions, *found.warnings))


def bundled() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(SNAPSHOTS.glob("*.json.gz")):
        for record in json.loads(gzip.decompress(file.read_bytes())).get("records", ()):
            if record.get("architecture"):
                found[f"{file.stem}:{record['key']}"] = record["architecture"]
    return found


def test_every_bundled_configuration_is_read_completely():
    """Except DeepSeek V4's, whose compressed cache makes it a range anyway."""
    unread = {
        name: note
        for name, architecture in bundled().items()
        for note in from_config(architecture).notes
        if "keys that the estimate does not know" in note and "compress_ratios" not in architecture
    }
    assert unread == {}


def test_the_tables_hold_no_name_that_a_reader_looks_up():
    """A harmless name that a reader uses is not harmless."""
    looked_up = {name for base in BASES for group in read(base)[1].names for name in group}
    assert looked_up.isdisjoint(HARMLESS)
    assert TOWERS


def test_the_table_is_the_reviewed_list():
    """What the words decide needs no entry; ``python -m scripts.build_config_keys --write``."""
    reviewed = (SNAPSHOTS.parents[1] / "scripts" / "config_keys_reviewed.txt").read_text().split()
    assert reviewed == sorted(set(reviewed))
    assert {name for name in reviewed if not HARMLESS_WORDS.search(name)} == HARMLESS
