"""Which degrees a model allows, and the sentence for each that it does not."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import Architecture, Attention, Experts, Layer, RecurrentState
from modelscan.memory import tensor_parallel as tp


def architecture(heads: int = 32, kv: int = 8, width: int = 14336, vocabulary: int = 128256,
                 layers: int = 32) -> Architecture:  # fmt: skip
    layer = Layer(Attention.FULL, heads, kv, 128, 128, feed_forward=width)
    return Architecture("llama", (layer,) * layers, heads * 128, vocabulary, 8192)


def reason(model: Architecture, degree: int) -> str:
    return dict(tp.degrees(model, degree).rejected)[degree]


def test_an_8b_model_takes_powers_of_two() -> None:
    assert tp.allowed(architecture(), 8) == (1, 2, 4, 8)


def test_heads_of_28_take_7_but_not_8() -> None:
    """28 query and 4 key-value heads: 7 divides the heads, but 4 cannot be spread over 7."""
    model = architecture(heads=28, kv=4, width=18944, vocabulary=152064)
    assert tp.allowed(model, 8) == (1, 2, 4)
    assert "28 attention heads" in reason(model, 8)
    assert "4 key-value heads" in reason(model, 7)


def test_fewer_kv_heads_than_gpus_are_copied_whole() -> None:
    assert 8 in tp.allowed(architecture(heads=32, kv=2), 8)
    assert "copied to 8" in reason(architecture(heads=24, kv=3, width=4096), 8)


def test_vocabulary_is_padded_before_it_is_cut() -> None:
    assert 2 in tp.allowed(architecture(vocabulary=49155), 2)
    model = architecture(heads=12, kv=12, width=12288, vocabulary=64 * 7)
    assert "448 (padded)" in reason(model, 3)


def test_expert_width_and_block_quantization() -> None:
    model = replace(architecture(), experts=Experts(128, 8, 768))
    assert tp.allowed(model, 8) == (1, 2, 4, 8)
    blocks = replace(model, extra={"weight_block_size": 128})
    assert tp.allowed(blocks, 8) == (1, 2)
    assert "192 is no multiple" in reason(blocks, 4)


def test_vision_and_state_heads_count() -> None:
    assert "15 vision heads" in reason(replace(architecture(), vision_heads=15), 2)
    state = RecurrentState(4, 4096, 128, 16, heads=6)
    layers = (Layer(Attention.LINEAR, state=state), *architecture().layers)
    assert "6 state heads" in reason(replace(architecture(), layers=layers), 4)


def test_layer_split_takes_any_number_up_to_the_layers() -> None:
    reasons = [tp.layer_split_reason(architecture(layers=5), count) for count in range(1, 7)]
    assert reasons == [None] * 5 + ["5 layers cannot be spread over 6 GPUs"]
    single = architecture(layers=1)
    assert tp.layer_split_reason(single, 1) is None
    assert tp.layer_split_reason(single, 2) == "1 layers cannot be spread over 2 GPUs"
    none = replace(single, layers=())
    assert tp.layer_split_reason(none, 1) is None


@settings(max_examples=100, deadline=None)
@given(heads=st.integers(1, 128), kv=st.integers(1, 16), count=st.integers(1, 16))
def test_every_degree_is_allowed_or_has_its_reason(heads: int, kv: int, count: int) -> None:
    found = tp.degrees(architecture(heads=heads, kv=kv), count)
    assert 1 in found.allowed
    assert sorted((*found.allowed, *dict(found.rejected))) == list(range(1, count + 1))
    assert all(text for _, text in found.rejected)


def test_one_gpu_is_always_allowed_and_so_is_none() -> None:
    """One rank cuts nothing: a width of 100 is no multiple of 128 and needs to be none."""
    model = replace(architecture(width=100), extra={"weight_block_size": 128})
    assert tp.reject_reason(model, 1) is None
    assert "50 is no multiple" in (tp.reject_reason(model, 2) or "")
    assert tp.allowed(architecture(), 0) == (1,)


def test_state_and_vision_heads_that_divide_are_cut() -> None:
    state = RecurrentState(4, 4096, 128, 16, heads=32)
    layers = (Layer(Attention.LINEAR, state=state), *architecture().layers)
    assert tp.allowed(replace(architecture(), layers=layers), 8) == (1, 2, 4, 8)
    assert tp.allowed(replace(architecture(), vision_heads=16), 8) == (1, 2, 4, 8)
    unknown = RecurrentState(4, 4096, 128, 16)
    layers = (Layer(Attention.LINEAR, state=unknown), *architecture().layers)
    assert tp.allowed(replace(architecture(), layers=layers), 8) == (1, 2, 4, 8)


def test_a_latent_cache_is_not_cut_by_heads() -> None:
    layer = Layer(Attention.MLA, 16, 3, 192, 128, feed_forward=4096)
    model = Architecture("deepseek", (layer,) * 4, 2048, 102400, 8192)
    assert tp.allowed(model, 8) == (1, 2, 4, 8)


def test_the_width_of_an_expert_divides_as_well() -> None:
    """Also where it is larger than the dense layers', which divide."""
    model = replace(architecture(), experts=Experts(8, 2, 15000))
    assert "width of 15000" in reason(model, 16)
    assert "width" not in dict(tp.degrees(architecture(), 16).rejected).get(16, "")
