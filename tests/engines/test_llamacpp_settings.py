"""llama.cpp's settings: what is asked becomes what the engine will see."""

from __future__ import annotations

import pytest

from modelscan.core.architecture import Architecture, Attention, Latent, Layer
from modelscan.core.errors import NotDeployableError, UsageError
from modelscan.core.workload import Workload
from modelscan.engines.llamacpp.settings import ServerOptions, from_workload, rounded

PLAIN = Architecture("llama", (Layer(Attention.FULL, 32, 8, 128, 128),), 4096, 128256, 131072)


def asked(**given: object) -> object:
    return from_workload(Workload(**given), PLAIN)  # type: ignore[arg-type]


def test_context_is_per_request_and_rounded_per_slot():
    found = from_workload(Workload(context_tokens=3000, parallel=3), PLAIN)
    assert (found.context_tokens, found.sequence_tokens, found.streams) == (9216, 3072, 3)


def test_ten_thousand_tokens_in_three_slots_grow():
    found = rounded(ServerOptions(context=10000, parallel=3))
    assert (found.context_tokens, found.sequence_tokens) == (10752, 3584)
    assert found.graph_tokens == 513


def test_a_unified_cache_is_one_stream_shared_by_its_slots():
    given = (("kv-unified", None),)
    found = from_workload(Workload(context_tokens=8192, parallel=4, parameters=given), PLAIN)
    assert (found.context_tokens, found.sequence_tokens, found.streams) == (8192, 8192, 1)


def test_the_engines_own_options_are_honoured_in_their_short_forms():
    given = (("c", "4096"), ("np", "2"), ("ub", "1024"), ("cache-type-k", "q8_0"), ("fa", "off"))
    found = from_workload(Workload(parameters=given), PLAIN)
    assert (found.context_tokens, found.parallel, found.ubatch) == (4096, 2, 1024)
    assert found.type_k.name == "Q8_0"
    assert not found.flash_attention


def test_batches_shrink_to_the_context():
    found = rounded(ServerOptions(context=512, batch=2048, ubatch=2048))
    assert (found.batch, found.ubatch) == (512, 512)


def test_a_causal_batch_is_held_to_the_context_as_asked_not_as_rounded():
    """llama_context's own lines for -c 300 -np 3: n_ctx 768, n_batch 300, n_ubatch 300."""
    found = rounded(ServerOptions(context=300, parallel=3))
    assert (found.context_tokens, found.batch, found.ubatch) == (768, 300, 300)
    assert rounded(ServerOptions(context=100, encoder=True)).ubatch == 256


def test_embedding_processes_an_input_at_once():
    assert rounded(ServerOptions(context=8192, ubatch=512, embedding=True)).batch == 512


def test_an_embedding_model_is_sized_as_one():
    pooled = Architecture("qwen3", PLAIN.layers, 1024, 151669, 32768, embedding_model=True)
    assert from_workload(Workload(), pooled).embedding
    assert not from_workload(Workload(embedding=False), pooled).embedding
    assert from_workload(Workload(parameters=(("embeddings", None),)), PLAIN).embedding


def test_nothing_asked_is_8192_tokens_of_one_request_or_what_the_model_can():
    assert from_workload(Workload(), PLAIN).context_tokens == 8192
    small = Architecture("llama", PLAIN.layers, 4096, 32000, 2048)
    assert from_workload(Workload(), small).context_tokens == 2048


@pytest.mark.parametrize(
    "given",
    [
        {"parameters": (("ubatch-size", "many"),)}, {"kv_cache_k": "fp8"}, {"kv_cache_v": "int4"},
        {"flash_attention": "maybe"},
    ],
)  # fmt: skip
def test_values_that_llama_cpp_would_not_take_are_usage_errors(given: dict[str, object]):
    with pytest.raises(UsageError):
        asked(**given)


def test_refused_combinations_are_not_deployable():
    with pytest.raises(NotDeployableError, match="flash attention"):
        rounded(ServerOptions(context=4096, type_v="q8_0", flash_attention="off"))
    with pytest.raises(NotDeployableError, match="equal"):
        rounded(ServerOptions(context=4096, type_k="q8_0", latent=True))


def test_mla_takes_equal_types():
    latent = Latent(512, 64)
    model = Architecture("deepseek2", (Layer(Attention.MLA, 16, 1, 576, 512),), 2048, 102400, 4096,
                         latent=latent)  # fmt: skip
    found = from_workload(Workload(kv_cache_k="q8_0", kv_cache_v="q8_0"), model)
    assert found.type_k == found.type_v
