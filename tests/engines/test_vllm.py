"""vLLM's memory: budget, padded groups, tokens and concurrency, failed starts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
    RecurrentState,
    Weights,
)
from modelscan.core.errors import UsageError
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, MIB
from modelscan.core.workload import Workload
from modelscan.engines.sglang import memory as sglang
from modelscan.engines.vllm import memory as vllm
from modelscan.engines.vllm.activation import activation_bytes
from modelscan.engines.vllm.settings import resolve
from modelscan.engines.vllm.versions import facts_for

H100 = round(79.19 * GIB)


def cards(count: int = 1, memory: int = H100, free: int | None = None) -> Inventory:
    one = [
        Gpu(i, "NVIDIA H100 80GB HBM3", "nvidia", memory, memory - GIB if free is None else free,
            "simulated", compute_capability="9.0")
        for i in range(count)
    ]  # fmt: skip
    return Inventory(tuple(one), Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB))


def dense(
    layers: int = 32, hidden: int = 4096, heads: int = 32, kv: int = 8, head: int = 128,
    feed_forward: int = 14336, vocabulary: int = 128256, parameters: int = 8_030_261_248,
) -> ModelShape:  # fmt: skip
    """A plain decoder with grouped heads; the defaults are a common 8B shape."""
    layer = Layer(Attention.FULL, heads, kv, head, head, feed_forward=feed_forward)
    architecture = Architecture("llama", (layer,) * layers, hidden, vocabulary, 131072)
    embedding = vocabulary * hidden * 2
    weights = Weights(
        parameters * 2, "exact", parameters, embedding_bytes=embedding, output_bytes=embedding
    )
    return ModelShape(architecture, weights, "safetensors", "BF16")


def workload(context: int = 8192, **options: str | None) -> Workload:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return Workload(context_tokens=context, parameters=parameters)


def run(shape: ModelShape, wanted: Workload, inventory: Inventory, version: str) -> Estimate:
    return vllm.estimate(shape, wanted, inventory, version=version)


def test_an_8b_model_on_an_h100_is_what_version_0_19_logs() -> None:
    found = run(dense(), workload(gpu_memory_utilization="0.95"), cards(), "0.19.0")
    parts = found.parts
    assert parts.weights_bytes / GIB == pytest.approx(14.99, abs=0.01)
    assert parts.compute_bytes / GIB == pytest.approx(1.89, abs=0.02)
    assert parts.non_torch_bytes / GIB == pytest.approx(0.25, abs=0.01)
    assert parts.cuda_graph_bytes / GIB == pytest.approx(0.91, abs=0.05)
    assert found.kv_bytes_per_token == 131072
    assert found.kv_capacity_tokens == pytest.approx(476_016, rel=0.002)
    assert found.max_concurrency == pytest.approx(58.11, rel=0.002)
    assert found.verdict == "fits"


def test_the_parts_add_up_to_the_total() -> None:
    found = run(dense(), workload(), cards(2), "0.32.0")
    assert found.total_bytes == found.parts.total_bytes
    assert found.total_bytes == sum(device.total_bytes for device in found.per_gpu)


def test_tensor_parallel_halves_weights_and_cache_but_not_the_peak() -> None:
    one = run(dense(), workload(), cards(2), "0.19.0")
    two = run(dense(), replace(workload(), tensor_parallel=2), cards(2), "0.19.0")
    first = two.per_gpu[0].parts
    assert first.weights_bytes / GIB == pytest.approx(7.51, abs=0.01)
    assert first.compute_bytes == one.parts.compute_bytes
    assert first.non_torch_bytes / GIB == pytest.approx(2.07, abs=0.02)
    assert two.kv_bytes_per_token * 2 == one.kv_bytes_per_token


def test_cards_without_nvlink_take_less_for_communication() -> None:
    """Two L40S, 0.19: Qwen3-8B holds 438,032 tokens, 1.64 GiB where two H100 take 2.07."""

    def taken(memory_gib: float, version: str) -> float:
        gpus = cards(2, round(memory_gib * GIB))
        found = run(dense(), replace(workload(), tensor_parallel=2), gpus, version)
        return found.per_gpu[0].parts.non_torch_bytes / GIB

    assert taken(79.19, "0.19.0") == pytest.approx(2.07, abs=0.01)
    assert taken(44.39, "0.19.0") == pytest.approx(1.64, abs=0.01)
    assert taken(39.38, "0.8.3") == pytest.approx(0.43, abs=0.05)


def test_pipeline_stages_hold_their_layers_and_the_scarcest_decides() -> None:
    two = run(dense(), replace(workload(gpu_memory_utilization="0.95"), pipeline_parallel=2),
              cards(2), "0.19.0")  # fmt: skip
    first, last = two.per_gpu
    assert first.parts.compute_bytes < last.parts.compute_bytes
    assert two.kv_bytes_per_token == 65536
    assert two.kv_capacity_tokens == pytest.approx(1_075_312, rel=0.01)
    assert two.kv_capacity_tokens == (last.kv_pool_bytes or 0) // (65536 * 16) * 16


def sliding(full: int, window: int, width: int = 1024, kv: int = 8, head: int = 256) -> ModelShape:
    """``full`` and ``window`` layers of one size, as Gemma-3 has them."""
    base = dense(layers=1)
    layers = tuple(
        Layer(Attention.SLIDING, 16, kv, head, head, width, feed_forward=15360)
        for _ in range(window)
    ) + tuple(Layer(Attention.FULL, 16, kv, head, head, feed_forward=15360) for _ in range(full))
    return replace(base, architecture=replace(base.architecture, layers=layers))


@pytest.mark.parametrize(
    ("full", "window", "slots"),
    [(10, 52, 70), (5, 29, 35), (8, 40, 48), (13, 13, 26), (13, 12, 26), (12, 12, 24)],
)
def test_sliding_layers_are_stored_in_padded_groups(full: int, window: int, slots: int) -> None:
    found = run(sliding(full, window), workload(), cards(), "0.19.0")
    assert found.kv_bytes_per_token == slots * 8 * 512 * 2


def test_a_window_holds_its_tokens_one_step_and_a_block_of_border() -> None:
    """Gemma-3-12b at 0.19: 130,304 tokens printed, 15.88 requests of 8192."""
    shape = sliding(8, 40)
    pool = str(130_304 * 48 * 8192)
    found = run(shape, workload(kv_cache_memory_bytes=pool), cards(), "0.19.0")
    assert found.kv_capacity_tokens == 130_304
    assert found.max_concurrency == 15.88


def test_newer_versions_print_concurrency_times_length_for_hybrids() -> None:
    options = workload(kv_cache_memory_bytes=str(130_304 * 48 * 8192))
    found = run(sliding(8, 40), options, cards(), "0.27.1")
    assert found.kv_capacity_tokens == int(48864 / (512 + 5 * 513) * 8192)


def linear(kv_dtype: str = "fp8") -> tuple[ModelShape, Workload]:
    """10 full and 30 linear layers: 2 KV heads of 256, 32 value heads and 16 key heads of 128."""
    state = RecurrentState(conv_kernel=4, inner=4096, state=128, groups=16, heads=32)
    layers = (
        Layer(Attention.LINEAR, state=state),
        Layer(Attention.LINEAR, state=state),
        Layer(Attention.LINEAR, state=state),
        Layer(Attention.FULL, 16, 2, 256, 256),
    ) * 10
    base = dense()
    extra = {"mamba_ssm_dtype": "float32"}
    shape = replace(base, architecture=replace(base.architecture, layers=layers, extra=extra))
    pool = str(304 * 10 * 2096 * 1024)
    options = {"kv_cache_dtype": kv_dtype, "enable_prefix_caching": "true"}
    return shape, workload(65536, kv_cache_memory_bytes=pool, **options)


def test_states_enlarge_the_block_and_take_whole_pages() -> None:
    """A 0.17 log of this shape: block size 2096, 159,296 tokens, 8.00 requests of 65,536."""
    shape, options = linear()
    found = run(shape, options, cards(), "0.17.0")
    assert found.kv_capacity_tokens == 159_296
    assert found.max_concurrency == 8.0
    assert found.parts.recurrent_state_bytes == 6 * 10 * 2096 * 1024


def test_fewer_heads_and_two_gpus_give_the_block_of_a_larger_hybrid() -> None:
    """A 0.16 log: 122B on two GPUs, fp8 cache: 75,168 tokens = 18 blocks of 4176."""
    state = RecurrentState(conv_kernel=4, inner=8192, state=128, groups=16, heads=64)
    layers = (*(Layer(Attention.LINEAR, state=state),) * 3, Layer(Attention.FULL, 32, 2, 256, 256))
    base = dense()
    extra = {"mamba_ssm_dtype": "float32"}
    architecture = replace(base.architecture, layers=layers * 12, extra=extra)
    pool = str(72 * 12 * 4176 * 512)
    options = {"kv_cache_dtype": "fp8", "enable_prefix_caching": "true"}
    wanted = workload(131072, kv_cache_memory_bytes=pool, **options)
    found = run(
        replace(base, architecture=architecture), replace(wanted, tensor_parallel=2), cards(2),
        "0.17.0",
    )  # fmt: skip
    assert found.kv_capacity_tokens == 75_168
    assert found.max_concurrency == 1.89


def latent() -> ModelShape:
    layer = Layer(Attention.MLA, 16, 16, 192, 128, moe=True)
    base = dense()
    architecture = replace(
        base.architecture,
        layers=(layer,) * 27,
        hidden=2048,
        vocabulary=102400,
        experts=Experts(64, 6, 1408, 2, 1408),
        latent=Latent(512, 64),
    )
    return replace(base, architecture=architecture)


def test_a_latent_cache_is_not_divided_by_tensor_parallel() -> None:
    one = run(latent(), workload(), cards(2), "0.19.0")
    two = run(latent(), replace(workload(), tensor_parallel=2), cards(2), "0.19.0")
    assert one.kv_bytes_per_token == two.kv_bytes_per_token == 27 * 576 * 2


def test_experts_add_their_workspace_to_the_peak() -> None:
    found = run(latent(), workload(), cards(), "0.19.0")
    assert found.parts.compute_bytes / GIB == pytest.approx(1.93, abs=0.05)  # logs: 1.93


def test_eight_bit_cache_doubles_the_capacity() -> None:
    plain = run(dense(), workload(), cards(), "0.19.0")
    small = run(dense(), workload(kv_cache_dtype="fp8"), cards(), "0.19.0")
    assert small.kv_bytes_per_token * 2 == plain.kv_bytes_per_token
    assert (small.kv_capacity_tokens or 0) == pytest.approx(
        2 * (plain.kv_capacity_tokens or 0), abs=32
    )


def test_versions_differ_where_vllm_differs() -> None:
    by_version = {
        version: run(dense(vocabulary=151936), workload(), cards(), version)
        for version in ("0.16.0", "0.17.0", "0.19.0", "0.21.0", "0.32.0")
    }
    peak = {name: found.parts.compute_bytes / GIB for name, found in by_version.items()}
    assert peak["0.16.0"] == pytest.approx(5.62, abs=0.05)
    assert peak["0.17.0"] == peak["0.21.0"] == pytest.approx(2.21, abs=0.02)
    assert peak["0.32.0"] < peak["0.21.0"] / 2  # the second runner does not copy the logits
    pool = {name: found.per_gpu[0].kv_pool_bytes or 0 for name, found in by_version.items()}
    graphs = by_version["0.21.0"].parts.cuda_graph_bytes
    assert pool["0.21.0"] == pytest.approx(pool["0.19.0"] - graphs + 0.02 * H100, abs=2)
    smaller = by_version["0.21.0"].parts.compute_bytes - by_version["0.32.0"].parts.compute_bytes
    counts = 1024 * (151936 * 34 // 8)  # of every request's tokens, kept from the start
    assert pool["0.32.0"] == pytest.approx(pool["0.21.0"] + smaller - counts, abs=2)


@pytest.mark.parametrize(
    ("engine", "version", "words", "like"),
    [
        (vllm, "0.33.0", "vLLM 0.33.0 is newer than 0.32.0: treated as 0.32.0", "0.32.0"),
        (vllm, "1.0", "vLLM 1.0 is newer than 0.32.0", "0.32.0"),
        (vllm, "2", "vLLM 2 is newer than 0.32.0", "0.32.0"),
        (vllm, "2026-08", "vLLM 2026-08 is not a number: treated as 0.32.0", "0.32.0"),
        (vllm, "0.5.4", "vLLM 0.5.4 is older than 0.6.0: treated as 0.6.0", "0.6.0"),
        (sglang, "0.6.1", "SGLang 0.6.1 is newer than 0.5.23", "0.5.23"),
        (sglang, "0.3.2", "SGLang 0.3.2 is older than 0.4.0", "0.4.0"),
    ],
)  # fmt: skip
def test_a_version_nobody_read_is_counted_as_the_nearest_and_said(
    engine: Any, version: str, words: str, like: str
) -> None:
    found = engine.estimate(dense(), workload(), cards(), version=version)
    known = engine.estimate(dense(), workload(), cards(), version=like)
    assert any(line.startswith(words) for line in found.assumptions)
    assert (found.parts, found.kv_capacity_tokens) == (known.parts, known.kv_capacity_tokens)
    assert not any("treated as" in line for line in known.assumptions)


def test_eager_has_no_graphs() -> None:
    found = run(dense(), workload(enforce_eager=None), cards(), "0.32.0")
    assert found.parts.cuda_graph_bytes == 0


def test_smaller_cards_default_to_256_sequences() -> None:
    small = cards(memory=24 * GIB)
    found = run(dense(vocabulary=151936, parameters=4_000_000_000), workload(), small, "0.19.0")
    assert "256 sequences, 2,048 tokens" in found.assumptions[0]


def test_adapters_take_room() -> None:
    plain = run(dense(), workload(), cards(), "0.19.0")
    adapted = replace(workload(max_lora_rank="64", max_loras="4"), adapters=("a",))
    with_adapters = run(dense(), adapted, cards(), "0.19.0")
    extra = with_adapters.parts.weights_bytes - plain.parts.weights_bytes
    # rank 64 over q, k, v, o, gate, up and down of an 8B model is 168M parameters an adapter
    assert extra == pytest.approx(4 * 168e6 * 2, rel=0.01)


def test_cpu_offload_moves_weights_to_the_host() -> None:
    found = run(dense(), workload(cpu_offload_gb="4"), cards(), "0.19.0")
    assert found.host is not None
    assert found.host.total_bytes == 4 * GIB
    assert found.parts.weights_bytes / GIB == pytest.approx(10.99, abs=0.01)


def test_float32_doubles_weights_and_cache() -> None:
    found = run(dense(), workload(dtype="float32", gpu_memory_utilization="0.95"), cards(), "0.19")
    assert found.parts.weights_bytes / GIB == pytest.approx(29.98, abs=0.03)
    assert found.parts.compute_bytes / GIB == pytest.approx(2.21, abs=0.1)
    assert found.kv_bytes_per_token == 262144


class TestFailedStarts:
    def test_longer_than_the_pool(self) -> None:
        """0.6 on a 3090: 29,000 tokens asked for, 23,648 there."""
        card = cards(memory=round(23.58 * GIB), free=round(23.3 * GIB))
        card = replace(card, gpus=(replace(card.gpus[0], name="NVIDIA GeForce RTX 3090"),))
        starts = run(dense(), workload(20000, gpu_memory_utilization="0.9"), card, "0.6.4")
        fails = run(dense(), workload(29000, gpu_memory_utilization="0.9"), card, "0.6.4")
        assert starts.verdict == "fits"
        assert starts.kv_capacity_tokens == pytest.approx(31_232, rel=0.03)
        assert fails.verdict == "does_not_fit"
        assert fails.kv_capacity_tokens == pytest.approx(23_648, rel=0.03)
        assert "29000 tokens" in fails.warnings[0]

    def test_no_room_for_blocks(self) -> None:
        found = run(dense(), workload(), cards(memory=16 * GIB), "0.32.0")
        assert found.verdict == "does_not_fit"
        assert "no memory for the cache blocks" in found.warnings[0]

    def test_somebody_else_holds_the_card(self) -> None:
        found = run(dense(), workload(), cards(free=40 * GIB), "0.32.0")
        assert found.verdict == "does_not_fit"
        assert "desired utilisation" in found.warnings[0]
        assert "40.0 GiB" in found.warnings[0]

    def test_too_few_gpus(self) -> None:
        found = run(dense(), replace(workload(), tensor_parallel=4), cards(2), "0.32.0")
        assert found.verdict == "does_not_fit"
        assert found.warnings[0] == "4 GPUs are needed, 2 are available"

    def test_heads_that_do_not_divide(self) -> None:
        found = run(dense(), replace(workload(), tensor_parallel=3), cards(3), "0.32.0")
        assert found.verdict == "does_not_fit"
        assert "32 attention heads" in found.warnings[0]


def test_no_gpu_is_no_verdict() -> None:
    found = run(dense(), workload(), Inventory((), Host(8, 64 * GIB, 60 * GIB)), "0.32.0")
    assert found.verdict is None
    assert found.kv_capacity_tokens is None
    assert found.parts.weights_bytes > 14 * GIB


def test_a_pool_that_is_given_is_kept() -> None:
    found = run(dense(), workload(kv_cache_memory_bytes="4GiB"), cards(free=30 * GIB), "0.32.0")
    assert found.per_gpu[0].kv_pool_bytes == 4 * GIB
    assert found.kv_capacity_tokens == 32768


@settings(max_examples=60, deadline=None)
@given(
    context=st.integers(1, 64).map(lambda n: n * 1024),
    step=st.integers(0, 16).map(lambda n: n * 1024),
    parallel=st.integers(1, 32),
    layers=st.integers(1, 80),
    full=st.integers(1, 12),
)
def test_more_context_more_slots_more_layers_never_take_less(
    context: int, step: int, parallel: int, layers: int, full: int
) -> None:
    shape = sliding(full, layers)

    def total(length: int, slots: int, model: ModelShape) -> int:
        wanted = replace(workload(length), parallel=slots)
        return run(model, wanted, cards(memory=512 * GIB), "0.32.0").total_bytes

    base = total(context, parallel, shape)
    assert total(context + step, parallel, shape) >= base
    assert total(context, parallel + 1, shape) >= base
    heavier = replace(
        shape, weights=replace(shape.weights, total_bytes=shape.weights.total_bytes + MIB)
    )
    assert total(context, parallel, heavier) >= base


def test_embedding_models_sample_nothing_and_encoders_cache_nothing() -> None:
    chat = run(dense(vocabulary=262144), workload(), cards(), "0.32.0")
    wanted = replace(workload(), embedding=True)
    embedding = run(dense(vocabulary=262144), wanted, cards(), "0.32.0")
    counts = 1024 * (262144 * 34 // 8)  # of every request's tokens, for penalties
    assert embedding.parts.non_torch_bytes == chat.parts.non_torch_bytes - counts
    old = run(dense(vocabulary=262144), wanted, cards(), "0.19.0")
    assert old.parts.compute_bytes < run(dense(vocabulary=262144), workload(), cards(),
                                         "0.19.0").parts.compute_bytes  # fmt: skip
    base = dense()
    encoder = replace(base, architecture=replace(base.architecture, encoder_only=True))
    found = run(encoder, workload(), cards(), "0.32.0")
    assert found.parts.kv_cache_bytes == 0
    assert found.kv_capacity_tokens is None
    assert found.verdict == "fits"


def test_a_soft_cap_divides_the_logits_into_a_second_copy() -> None:
    plain = dense(vocabulary=262144)
    capped = replace(
        plain, architecture=replace(plain.architecture, extra={"logits_soft_cap": True})
    )
    for version, more in (("0.32.0", 2), ("0.26.0", 0)):  # 0.26 copies them to float32 anyway
        peaks = [
            activation_bytes(
                shape.architecture, [], resolve(shape.architecture, workload(), cards(),
                facts_for(version)), facts_for(version), last_stage=True,
            )
            for shape in (plain, capped)
        ]  # fmt: skip
        assert peaks[1] - peaks[0] == 1024 * 262144 * more


def test_buffers_of_the_runner_are_charged_since_the_card_is_asked() -> None:
    """0.25 and 0.26 run dense models in the second runner, whose counts the profile missed."""
    counts = 1024 * (262144 * 34 // 8)
    before, after = (run(dense(vocabulary=262144), workload(), cards(), v)
                     for v in ("0.26.0", "0.27.0"))  # fmt: skip
    assert before.per_gpu[0].kv_pool_bytes == (after.per_gpu[0].kv_pool_bytes or 0) + counts
    assert before.parts.other_bytes == after.parts.other_bytes + counts
    assert before.parts.non_torch_bytes == after.parts.non_torch_bytes - counts


def test_the_budget_is_of_what_cuda_calls_total() -> None:
    """The driver reports 79.65 GiB of an H100 and keeps 0.47; vLLM's logs say 79.19."""
    card = replace(
        cards().gpus[0],
        memory_bytes=round(79.6475 * GIB), reserved_bytes=round(0.4678 * GIB),
        free_bytes=round(79.18 * GIB),
    )  # fmt: skip
    found = run(dense(), workload(), Inventory((card,), Host(8, None, None)), "0.19.0")
    assert (found.per_gpu[0].budget_bytes or 0) / GIB == pytest.approx(79.18 * 0.9, abs=0.01)


def test_prediction_layers_in_use_have_a_cache_too() -> None:
    base = latent()
    shape = replace(base, architecture=replace(base.architecture, mtp_layers=1))
    plain = run(shape, workload(), cards(), "0.21.0")
    config = '{"method": "mtp", "num_speculative_tokens": 1}'
    drafting = run(shape, workload(speculative_config=config), cards(), "0.21.0")
    assert plain.kv_bytes_per_token == 27 * 576 * 2
    assert drafting.kv_bytes_per_token == 28 * 576 * 2
    assert drafting.parts.weights_bytes > plain.parts.weights_bytes


def test_vllms_own_table_captures_more_sizes_for_gpt_oss() -> None:
    base = dense()
    named = replace(base, architecture=replace(base.architecture, name="gpt_oss"))
    plain = run(base, workload(), cards(), "0.19.0").parts.cuda_graph_bytes
    assert run(named, workload(), cards(), "0.19.0").parts.cuda_graph_bytes == pytest.approx(
        plain * 83 / 51, rel=1e-6
    )


def test_unified_memory_counts_as_a_small_card() -> None:
    spark = cards(memory=120 * GIB)
    spark = replace(spark, gpus=(replace(spark.gpus[0], unified_memory=True),))
    found = run(dense(), workload(), spark, "0.32.0")
    assert "256 sequences, 2,048 tokens" in found.assumptions[0]


def test_pages_of_two_sizes_share_a_block_table() -> None:
    """A 2026-05 log: 50 sliding layers of 16 x 256 and 10 full ones of 4 x 512, two GPUs, 8-bit
    cache with a scale per head, 10.82 GiB: 466,892 tokens, 1.78 requests of 262,144.
    """
    window = Layer(Attention.SLIDING, 32, 16, 256, 256, 1024, feed_forward=21504)
    whole = Layer(Attention.FULL, 32, 4, 512, 512, feed_forward=21504)
    base = dense()
    layers = (*(window,) * 5, whole) * 10
    shape = replace(base, architecture=replace(base.architecture, layers=layers))
    options = workload(
        262144, kv_cache_dtype="int8_per_token_head", max_num_batched_tokens="4096",
        kv_cache_memory_bytes=str(round(10.82 * GIB)),
    )  # fmt: skip
    found = run(shape, replace(options, tensor_parallel=2), cards(2), "0.20.2")
    assert found.max_concurrency == 1.78
    assert found.kv_capacity_tokens == pytest.approx(466_892, rel=0.001)


def test_a_guessed_architecture_keeps_everything() -> None:
    shape = sliding(0, 48)
    guessed = replace(shape, architecture=replace(shape.architecture, known=False))
    known = run(shape, workload(65536), cards(), "0.32.0")
    unknown = run(guessed, workload(65536), cards(), "0.32.0")
    assert unknown.parts.kv_cache_bytes > 5 * known.parts.kv_cache_bytes
    assert unknown.basis == "range"


@pytest.mark.parametrize("engine", [vllm, sglang])
def test_llamacpps_cache_types_are_refused(engine: Any) -> None:
    with pytest.raises(UsageError, match="no cache type 'q8_0'"):
        engine.estimate(dense(), replace(workload(), kv_cache_k="q8_0"), cards())
    halved = engine.estimate(dense(), replace(workload(), kv_cache_k="fp8"), cards())
    plain = engine.estimate(dense(), replace(workload(), kv_cache_k="f16"), cards())
    assert halved.kv_bytes_per_token * 2 == plain.kv_bytes_per_token


OPTIONS = (
    "max-num-seqs", "max-num-batched-tokens", "block-size", "max-model-len", "cpu-offload-gb",
    "gpu-memory-utilization", "kv-cache-memory-bytes", "max-loras", "mem-fraction-static",
    "chunked-prefill-size", "context-length", "page-size", "mamba-full-memory-ratio", "tp-size",
    "tensor-parallel-size", "kv-cache-dtype", "speculative-config", "dtype",
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(option=st.sampled_from(OPTIONS), value=st.text(max_size=6) | st.integers().map(str))
def test_any_value_of_an_option_is_taken_or_refused_in_words(option: str, value: str) -> None:
    wanted = Workload(context_tokens=1024, parameters=((option, value),))
    for engine in (vllm, sglang):
        try:
            found = engine.estimate(dense(layers=2), wanted, cards(2))
        except UsageError:
            continue
        assert found.total_bytes == found.parts.total_bytes
        assert found.total_bytes >= 0


def test_counts_may_be_written_short() -> None:
    assert run(dense(), workload(max_model_len="32K"), cards(), "0.32.0").context_tokens == 32768
    assert run(dense(), workload(max_model_len="32k"), cards(), "0.32.0").context_tokens == 32000
    with pytest.raises(UsageError, match="not between 0 and 1"):
        run(dense(), workload(gpu_memory_utilization="95"), cards(), "0.32.0")
