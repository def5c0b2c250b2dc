"""llama.cpp's bytes: parts, devices, monotony, verdicts."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import ModelShape
from modelscan.core.errors import ModelscanError, NotDeployableError, UsageError
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, MIB
from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.formats.gguf import parse_header
from modelscan.memory.shape import from_gguf
from scripts.sparse_gguf import header
from scripts.sparse_models import MODELS

HOST = Host(cpus=16, memory_bytes=256 * GIB, free_bytes=200 * GIB)


@cache
def shape(name: str) -> ModelShape:
    head, _, padded = header(MODELS[name]())
    return from_gguf(parse_header(lambda o, n: head[o : o + n], len(head) + padded))


def cards(*free_gib: float, vendor: str = "nvidia") -> Inventory:
    gpus = tuple(
        Gpu(i, f"card {i}", vendor, round((free + 1) * GIB), round(free * GIB), "simulated")
        for i, free in enumerate(free_gib)
    )
    return Inventory(gpus, HOST, source="simulated")


def found(name: str, inventory: Inventory | None = None, **wanted: object) -> Estimate:
    workload = Workload(**wanted)  # type: ignore[arg-type]
    return estimate(shape(name), workload, inventory, model=name, backend="llama.cpp")


def test_without_a_gpu_everything_is_host_memory():
    result = found("llama-3.2-3b", context_tokens=8192)
    assert result.per_gpu == ()
    assert result.host is not None
    assert result.host.parts == result.parts
    assert result.parts.weights_bytes == shape("llama-3.2-3b").weights.total_bytes
    assert result.parts.kv_cache_bytes == 8192 * result.kv_bytes_per_token == 896 * MIB
    assert result.basis == "computed"
    assert result.verdict is None


def test_on_one_gpu_the_embedding_stays_on_the_host_and_a_tied_one_exists_twice():
    result = found("llama-3.2-3b", cards(24), context_tokens=8192)
    weights = shape("llama-3.2-3b").weights
    (gpu,), host = result.per_gpu, result.host
    assert host is not None
    assert host.parts.weights_bytes == weights.embedding_bytes
    assert gpu.parts.weights_bytes == weights.total_bytes
    assert gpu.parts.kv_cache_bytes == 896 * MIB
    assert host.parts.kv_cache_bytes == 0
    assert result.verdict == "fits"
    assert any("twice" in note for note in result.assumptions)


def test_the_fewest_gpus_that_hold_it_are_taken():
    assert [gpu.index for gpu in found("qwen3-14b", cards(24, 24)).per_gpu] == [0]
    both = found("mistral-small-24b", cards(10, 10), context_tokens=16384)
    assert [gpu.index for gpu in both.per_gpu] == [0, 1]
    assert both.verdict == "fits"


def test_no_device_is_helped_by_another_ones_memory():
    result = found("mistral-small-24b", cards(9, 5), context_tokens=4096)
    assert sum(gpu.total_bytes for gpu in result.per_gpu) > 0
    assert result.verdict == "does_not_fit" or all(
        gpu.total_bytes <= (gpu.free_bytes or 0) for gpu in result.per_gpu
    )


def test_named_gpus_and_a_tensor_split_are_obeyed():
    split = (("tensor-split", "3,1"),)
    result = found("llama-3.2-3b", cards(24, 24), gpus=(0, 1), parameters=split)
    first, second = (gpu.parts.kv_cache_bytes for gpu in result.per_gpu)
    assert first == 22 * second / 6  # 29 places (28 layers and the output) dealt 3 : 1
    unnamed = found("llama-3.2-3b", cards(24, 24, 24), parameters=split)
    assert [gpu.index for gpu in unnamed.per_gpu] == [0, 1]  # one would do


def test_experts_on_the_cpu_leave_the_gpu():
    all_gpu = found("qwen3-235b-a22b", cards(140), context_tokens=8192)
    offloaded = found("qwen3-235b-a22b", cards(140), context_tokens=8192,
                      parameters=(("cpu-moe", None),))  # fmt: skip
    some = found("qwen3-235b-a22b", cards(140), context_tokens=8192,
                 parameters=(("n-cpu-moe", "10"),))  # fmt: skip
    experts = shape("qwen3-235b-a22b").weights.expert_bytes
    whole, none = (r.per_gpu[0].parts.weights_bytes for r in (all_gpu, offloaded))
    assert whole - none == experts
    assert none < some.per_gpu[0].parts.weights_bytes < whole
    assert offloaded.parts.weights_bytes == all_gpu.parts.weights_bytes


def test_layers_left_on_the_host_keep_their_cache_there():
    result = found("llama-3.2-3b", cards(24), parameters=(("n-gpu-layers", "15"),))
    assert result.host is not None
    # 15 of 28 layers and the output: 14 layers on the GPU
    assert result.host.parts.kv_cache_bytes == result.per_gpu[0].parts.kv_cache_bytes
    kept = found("llama-3.2-3b", cards(24), parameters=(("no-kv-offload", None),))
    assert kept.per_gpu[0].parts.kv_cache_bytes == 0


def test_repacking_and_a_projector_are_counted_where_they_are():
    plain = found("llama-3.2-3b")
    repacked = found("llama-3.2-3b", parameters=(("repack", None),))
    assert repacked.parts.other_bytes == sum(shape("llama-3.2-3b").weights.layer_bytes)
    assert plain.parts.other_bytes == 0
    base = shape("llama-3.2-3b")
    seeing = replace(base, weights=replace(base.weights, vision_bytes=GIB))
    result = estimate(seeing, Workload(), cards(24), model="m")
    assert result.per_gpu[0].parts.vision_bytes == GIB


def test_tight_and_does_not_fit_are_told_apart():
    exact = found("qwen3-14b", cards(60), context_tokens=8192)
    needed = exact.per_gpu[0].total_bytes
    margin = exact.margin_bytes
    assert margin > 0
    for free, verdict, within_margin in (
        (needed + margin, "fits", False), (needed + margin // 2, "fits", True),
        (needed - 1, "does_not_fit", False),
    ):  # fmt: skip
        result = found("qwen3-14b", cards(free / GIB), context_tokens=8192)
        assert (result.verdict, result.within_margin) == (verdict, within_margin)


def test_the_hosts_share_has_to_fit_the_host():
    roomy = found("qwen3-235b-a22b", cards(24), context_tokens=4096,
                  parameters=(("cpu-moe", None),))  # fmt: skip
    assert not roomy.warnings
    small = replace(cards(24), host=Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB))
    tight = found("qwen3-235b-a22b", small, context_tokens=4096, parameters=(("cpu-moe", None),))
    assert "the host's share" in tight.warnings[0]


def test_a_unified_chip_has_its_memory_once():
    chip = Gpu(0, "M4", "apple", 32 * GIB, 8 * GIB, "sysctl", unified_memory=True)
    machine = Inventory((chip,), Host(cpus=8, memory_bytes=32 * GIB, free_bytes=8 * GIB))
    result = found("qwen3-14b", machine, context_tokens=2048)
    assert result.host is not None
    both = result.per_gpu[0].total_bytes + result.host.total_bytes
    assert result.per_gpu[0].total_bytes < 8 * GIB < both
    assert result.verdict == "does_not_fit"


def test_sliding_windows_stop_growing():
    short, long = (found("gemma-3-27b", context_tokens=n).parts for n in (8192, 131072))
    # 10 of 62 layers grow: 16 heads x 128 x 2 x 2 bytes each
    assert long.kv_cache_bytes - short.kv_cache_bytes == (131072 - 8192) * 10 * 8192
    full = found("gemma-3-27b", context_tokens=32768, parameters=(("swa-full", None),))
    assert full.parts.kv_cache_bytes == 32768 * 62 * 8192


def test_a_latent_cache_is_kv_rank_and_rope_once():
    assert found("deepseek-r1", context_tokens=4096).kv_bytes_per_token == 61 * 576 * 2


def test_context_is_what_one_request_may_use():
    sized = found("llama-3.2-3b", parallel=3, parameters=(("ctx-size", "10000"),))
    assert (sized.context_tokens, sized.kv_capacity_tokens) == (3584, 10752)
    unified = found("llama-3.2-3b", context_tokens=8192, parallel=4,
                    parameters=(("kv-unified", None),))  # fmt: skip
    assert (unified.context_tokens, unified.max_concurrency) == (8192, 1)
    assert found("llama-3.2-3b", context_tokens=2048, parallel=4).max_concurrency == 4


def test_states_are_per_slot_and_independent_of_context():
    one = found("qwen3.5-9b", context_tokens=4096)
    four = found("qwen3.5-9b", context_tokens=32768, parallel=4)
    assert four.parts.recurrent_state_bytes == 4 * one.parts.recurrent_state_bytes > 0


def test_an_encoder_has_no_cache():
    result = found("bge-large", context_tokens=512)
    assert result.parts.kv_cache_bytes == 0
    assert result.kv_bytes_per_token == 0


def test_other_formats_and_engines_are_refused_with_a_hint():
    tensors = replace(shape("llama-3.2-3b"), format="safetensors")
    with pytest.raises(NotDeployableError) as caught:
        estimate(tensors, Workload(), None, model="m", backend="llama.cpp")
    assert caught.value.hint
    with pytest.raises(UsageError, match="no backend"):
        estimate(shape("llama-3.2-3b"), Workload(), None, model="m", backend="tgi")


@pytest.mark.parametrize("option", ["n-gpu-layers", "tensor-split", "n-cpu-moe"])
def test_values_that_are_no_numbers_are_usage_errors(option: str):
    with pytest.raises(UsageError):
        found("llama-3.2-3b", cards(24), parameters=((option, "some"),))


def test_an_unfamiliar_cache_design_is_a_range():
    sketch = MODELS["llama-3.2-3b"]()
    sketch.arch = "deepseek4"
    head, _, padded = header(sketch)
    guessed = from_gguf(parse_header(lambda o, n: head[o : o + n], len(head) + padded))
    result = estimate(guessed, Workload(context_tokens=8192), None, model="m")
    assert result.basis == "range"
    assert result.warnings
    assert result.low_bytes is not None
    assert result.high_bytes is not None
    assert result.low_bytes < result.total_bytes <= result.high_bytes


names = st.sampled_from(["llama-3.2-3b", "gemma-3-27b", "gpt-oss-120b", "deepseek-r1",
                         "qwen3.5-35b-a3b", "granite-4-h-small", "falcon-h1-7b", "mamba2-2.7b",
                         "gemma-4-e4b", "bge-large", "llama-4-scout"])  # fmt: skip
contexts = st.integers(256, 131072)
slots = st.integers(1, 8)
machines = st.lists(st.floats(4, 80), max_size=4)
extras = st.sampled_from([(), (("kv-unified", None),), (("swa-full", None),),
                          (("n-cpu-moe", "5"),), (("n-gpu-layers", "9"),),
                          (("no-kv-offload", None),)])  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(names, contexts, slots, machines, extras)
def test_parts_add_up_on_every_device_and_in_all(
    name: str, context: int, parallel: int, free: list[float], extra: tuple[tuple[str, None], ...]
):
    result = found(name, cards(*free) if free else None, context_tokens=context,
                   parallel=parallel, parameters=extra)  # fmt: skip
    assert result.parts.total_bytes == result.total_bytes
    devices = [*result.per_gpu, *([result.host] if result.host else [])]
    assert all(d.parts.total_bytes == d.total_bytes for d in devices)
    assert sum(d.total_bytes for d in devices) == result.total_bytes
    assert all(getattr(d.parts, field) >= 0 for d in devices for field in d.parts.__slots__)


@settings(deadline=None, max_examples=150)
@given(names, contexts, st.integers(0, 65536), slots)
def test_more_context_never_takes_less(name: str, context: int, more: int, parallel: int):
    less, much = (
        found(name, context_tokens=tokens, parallel=parallel)
        for tokens in (context, context + more)
    )
    assert much.parts.kv_cache_bytes >= less.parts.kv_cache_bytes
    assert much.total_bytes >= less.total_bytes


@settings(deadline=None, max_examples=150)
@given(names, contexts, slots, st.integers(0, 8))
def test_more_slots_never_need_a_smaller_cache(name: str, context: int, parallel: int, more: int):
    few, many = (
        found(name, context_tokens=context, parallel=n) for n in (parallel, parallel + more)
    )
    for part in ("kv_cache_bytes", "recurrent_state_bytes", "output_bytes"):
        assert getattr(many.parts, part) >= getattr(few.parts, part)


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 64), st.integers(1, 16))
def test_more_parameters_never_take_less(layers: int, more: int):
    def sized(count: int) -> int:
        from scripts.sparse_families import decoder
        from scripts.sparse_pieces import Attn

        sketch = decoder("m", "llama", count, 1024, Attn(16, 4, 64), 4096, 32000)
        head, _, padded = header(sketch)
        shaped = from_gguf(parse_header(lambda o, n: head[o : o + n], len(head) + padded))
        return estimate(shaped, Workload(context_tokens=4096), None, model="m").total_bytes

    assert sized(layers + more) > sized(layers)


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=6), st.sampled_from(["ctx-size", "ubatch-size", "parallel", "tensor-split",
                                             "n-gpu-layers", "n-cpu-moe", "cache-type-k"]))  # fmt: skip
def test_any_value_of_an_option_is_taken_or_refused_by_name(value: str, option: str):
    with contextlib.suppress(ModelscanError):
        found("llama-3.2-3b", cards(24, 24), gpus=(0, 1), parameters=((option, value),))


# Compute buffers that older wheels' own dry runs printed for llama-3.2-3b (MiB, two decimals).
RECORDED = {
    "0.2.14": (268.50, 834.01), "2026.4.8672": (268.50, 834.01), "2026.5.9294": (268.50, 834.01),
    "2026.6.9538": (80.01, 834.01), "2026.9.11063": (80.01, 834.01), "b10229": (80.01, 834.01),
}  # fmt: skip


@pytest.mark.parametrize("version", RECORDED)
def test_older_builds_have_their_own_constants(version: str):
    for expected, flash in zip(RECORDED[version], ("auto", "off"), strict=True):
        context = 8192 if flash == "auto" else 16384
        result = found("llama-3.2-3b", context_tokens=context, flash_attention=flash,
                       backend_version=version)  # fmt: skip
        assert abs(result.parts.compute_bytes / MIB - expected) < 0.02


@pytest.mark.parametrize(
    ("version", "name", "context", "expected"),
    [
        ("2026.9.11063", "phi-4-mini", 8192, 74.01),
        ("2026.9.11063", "gemma-3-27b", 8192, 175.02),
        ("2026.9.11063", "mistral-small-24b", 131072, 358.01),
        ("2026.9.11063", "qwen3-235b-a22b", 8192, 184.01),
        ("2026.9.11063", "qwen3.5-9b", 8192, 104.02),
        ("2026.9.11063", "bge-large", 8192, 14.51),
        ("2026.5.9294", "llama-3.2-3b", 131072, 414.01),  # masks exist twice
        ("2026.5.9294", "qwen3-235b-a22b", 131072, 440.01),
        ("2026.5.9294", "bge-large", 8192, 16.51),
        ("2026.5.9294", "qwen3.5-9b", 8192, 509.0),
    ],
)
def test_what_older_wheels_printed(version: str, name: str, context: int, expected: float):
    """Compute buffers of their dry runs, MiB."""
    result = found(name, context_tokens=context, backend_version=version)
    assert abs(result.parts.compute_bytes / MIB - expected) < 0.02


def test_an_unknown_version_is_the_newest():
    newest, odd = (
        found("llama-3.2-3b", backend_version=version) for version in (None, "some fork")
    )
    assert newest.parts == odd.parts
