"""vLLM's defaults by version and card, and what its options set.

Sources: vllm/engine/arg_utils.py (``get_batch_defaults``: 1024 sequences and 8192 tokens on cards of
70 GiB and more that are no A100, else 256 and 2048), platforms/cuda.py (blocks of 64 for FlashMLA),
config/compilation (captured sizes: 1, 2, 4, every 8 to 256, every 16 above).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelscan.core.architecture import Architecture, Attention, Latent, Layer, RecurrentState
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.vllm.settings import VllmSettings, resolve
from modelscan.engines.vllm.versions import facts_for

LAYER = Layer(Attention.FULL, 32, 8, 128, 128, feed_forward=14336)
MODEL = Architecture("llama", (LAYER,) * 4, 4096, 128256, 131072)


def card(gib: float = 80, name: str = "NVIDIA H100", **changes: object) -> Gpu:
    memory = round(gib * GIB)
    made = Gpu(0, name, "nvidia", memory, memory, "simulated", compute_capability="9.0")
    return replace(made, **changes)  # type: ignore[arg-type]


def inventory(*gpus: Gpu) -> Inventory:
    numbered = tuple(replace(gpu, index=index) for index, gpu in enumerate(gpus))
    return Inventory(numbered, Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB))


def settings(
    *gpus: Gpu,
    version: str = "0.32.0",
    model: Architecture = MODEL,
    wanted: Workload | None = None,
    **options: str | None,
) -> VllmSettings:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    base = wanted or Workload(context_tokens=8192)
    here = inventory(*(gpus or (card(),)))
    return resolve(model, replace(base, parameters=parameters), here, facts_for(version))


class TestBatch:
    @pytest.mark.parametrize(
        ("gpu", "sequences", "tokens"),
        [
            (card(80), 1024, 8192),
            (card(70), 1024, 8192),
            (card(70, memory_bytes=70 * GIB - 1), 256, 2048),
            (card(24), 256, 2048),
            (card(80, "NVIDIA A100-SXM4-80GB"), 256, 2048),
            (card(120, unified_memory=True), 256, 2048),
            (card(80, memory_bytes=None), 256, 2048),
        ],
    )
    def test_large_cards_take_larger_batches(self, gpu: Gpu, sequences: int, tokens: int) -> None:
        found = settings(gpu)
        assert (found.max_num_seqs, found.max_num_batched_tokens) == (sequences, tokens)

    def test_the_class_of_the_card(self) -> None:
        assert settings(card(70)).big_gpu
        assert not settings(card(70, memory_bytes=70 * GIB - 1)).big_gpu
        assert not settings(card(80, memory_bytes=None)).big_gpu

    def test_without_a_card_the_small_defaults_count(self) -> None:
        found = resolve(MODEL, Workload(context_tokens=8192), None, facts_for("0.32.0"))
        assert (found.max_num_seqs, found.max_num_batched_tokens) == (256, 2048)
        assert found.gpus == ()
        assert not found.big_gpu

    def test_options_win(self) -> None:
        found = settings(max_num_seqs="64", max_num_batched_tokens="4096")
        assert (found.max_num_seqs, found.max_num_batched_tokens) == (64, 4096)

    def test_a_step_has_no_more_sequences_than_tokens(self) -> None:
        assert settings(max_num_seqs="512", max_num_batched_tokens="128").max_num_seqs == 128

    @pytest.mark.parametrize(
        ("context", "tokens"), [(1024, 2048), (2049, 2049), (32768, 32768), (32769, 2048)]
    )
    def test_v0_profiled_the_longest_prompt_up_to_32768(self, context: int, tokens: int) -> None:
        wanted = Workload(context_tokens=context)
        found = settings(version="0.6.4", wanted=wanted)
        assert (found.max_num_batched_tokens, found.max_num_seqs) == (tokens, 256)


class TestCapturedSizes:
    @pytest.mark.parametrize(
        ("version", "options", "count"),
        [
            ("0.32.0", {}, 3 + 32 + 16),  # to 512
            ("0.32.0", {"max_num_seqs": "256"}, 3 + 32 + 16),
            ("0.32.0", {"max_num_seqs": "128"}, 3 + 32),  # to 2 x 128
            ("0.32.0", {"max_num_seqs": "32"}, 3 + 8),
            ("0.32.0", {"max_num_seqs": "1"}, 2),  # 1 and 2
            ("0.32.0", {"max_num_seqs": "2"}, 3),
            ("0.32.0", {"max_cudagraph_capture_size": "256"}, 3 + 32),
            ("0.32.0", {"max_cudagraph_capture_size": "288"}, 3 + 32 + 2),
            ("0.11.0", {}, 3 + 32 + 32),  # every 8
            ("0.32.0", {"enforce_eager": None}, 0),
        ],
    )
    def test_how_many(self, version: str, options: dict[str, str | None], count: int) -> None:
        assert settings(version=version, **options).capture_sizes == count

    @pytest.mark.parametrize(
        ("largest", "count"),
        [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4), (255, 3 + 31), (256, 3 + 32),
         (271, 3 + 32), (272, 3 + 32 + 1)],
    )  # fmt: skip
    def test_the_largest_size_is_a_border(self, largest: int, count: int) -> None:
        found = settings(max_cudagraph_capture_size=str(largest))
        assert found.capture_sizes == count

    def test_gpt_oss_captures_to_1024(self) -> None:
        named = replace(MODEL, name="gpt_oss")
        assert settings(model=named).capture_sizes == 3 + 32 + 48
        assert settings(model=named, version="0.10.0").capture_sizes == 3 + 32 + 32


class TestTypes:
    @pytest.mark.parametrize(
        ("dtype", "size"),
        [(None, 2), ("auto", 2), ("bfloat16", 2), ("float16", 2), ("half", 2), ("float32", 4),
         ("float", 4), ("float16_of_tomorrow", 2)],
    )  # fmt: skip
    def test_bytes_of_a_value(self, dtype: str | None, size: int) -> None:
        found = settings(**({"dtype": dtype} if dtype else {}))
        assert found.dtype_bytes == size
        assert found.kv_element_bytes == float(size)

    @pytest.mark.parametrize(
        ("cache", "size"),
        [("fp8", 1.0), ("fp8_e4m3", 1.0), ("fp8_e5m2", 1.0), ("fp8_ds_mla", 1.0), ("int8", 1.0),
         ("int8_per_token_head", 1.0), ("nvfp4", 9 / 16), ("auto", 2.0), ("bfloat16", 2.0)],
    )  # fmt: skip
    def test_bytes_of_a_cached_value(self, cache: str, size: float) -> None:
        assert settings(kv_cache_dtype=cache).kv_element_bytes == size

    def test_blocks_are_of_16_tokens_and_of_64_for_mla(self) -> None:
        layer = Layer(Attention.MLA, 16, 16, 192, 128)
        latent = Architecture(
            "deepseek", (LAYER, layer), 2048, 102400, 8192, latent=Latent(512, 64)
        )
        assert settings().block_size == 16
        assert settings(model=latent).block_size == 64
        assert settings(model=latent, block_size="32").block_size == 32


class TestOptions:
    def test_defaults(self) -> None:
        found = settings()
        assert (found.parallel, found.tensor_parallel, found.pipeline_parallel) == (1, 1, 1)
        assert (found.context_parallel, found.speculative_tokens, found.loras) == (1, 0, 0)
        assert (found.lora_rank, found.cpu_offload_bytes) == (16, 0)
        assert (found.kv_pool_bytes, found.blocks_override) == (None, None)
        assert (found.eager, found.pooling, found.speculative_mtp) == (False, False, False)
        assert (found.prefix_caching, found.hybrid_groups) == (True, True)

    @pytest.mark.parametrize(("version", "share"), [("0.19.0", 0.9), ("0.32.0", 0.92)])
    def test_utilization(self, version: str, share: float) -> None:
        assert settings(version=version).utilization == share
        assert settings(version=version, gpu_memory_utilization="0.5").utilization == 0.5

    def test_what_each_sets(self) -> None:
        found = settings(
            max_model_len="4096", decode_context_parallel_size="2", cpu_offload_gb="1.5",
            num_gpu_blocks_override="100", max_loras="3", max_lora_rank="64", enable_lora=None,
            no_enable_prefix_caching=None, disable_hybrid_kv_cache_manager=None,
            mamba_ssm_cache_dtype="float32",
        )  # fmt: skip
        assert (found.max_model_len, found.context_parallel) == (4096, 2)
        assert found.cpu_offload_bytes == GIB * 3 // 2
        assert (found.blocks_override, found.loras, found.lora_rank) == (100, 3, 64)
        assert (found.prefix_caching, found.hybrid_groups) == (False, False)
        assert found.state_dtype == "float32"

    @pytest.mark.parametrize("name", ["kv_cache_memory_bytes", "kv_cache_memory"])
    def test_a_pool_by_size(self, name: str) -> None:
        assert settings(**{name: "4GiB"}).kv_pool_bytes == 4 * GIB

    def test_adapters_are_one_at_a_time_unless_more_are_asked_for(self) -> None:
        adapted = Workload(context_tokens=8192, adapters=("a",))
        assert settings(wanted=adapted).loras == 1
        assert settings(enable_lora=None).loras == 1
        assert settings(max_loras="4").loras == 0  # not enabled
        assert settings(wanted=adapted, max_loras="4").loras == 4

    @pytest.mark.parametrize(
        ("config", "tokens", "mtp"),
        [
            ('{"method": "mtp", "num_speculative_tokens": 3}', 3, True),
            ('{"method": "deepseek_mtp", "num_speculative_tokens": 12}', 12, True),
            ('{"method": "ngram", "num_speculative_tokens": 2}', 2, False),
            ('{"method": "mtp"}', 0, True),
        ],
    )
    def test_speculation(self, config: str, tokens: int, mtp: bool) -> None:
        found = settings(speculative_config=config)
        assert (found.speculative_tokens, found.speculative_mtp) == (tokens, mtp)

    def test_pooling_models_sample_nothing(self) -> None:
        embedding = replace(MODEL, embedding_model=True)
        assert settings(model=embedding).pooling
        assert settings(runner="pooling").pooling
        assert settings(task="embed").pooling
        assert not settings(runner="generate").pooling
        wanted = Workload(context_tokens=8192, embedding=False)
        assert not settings(model=embedding, wanted=wanted).pooling
        assert settings(wanted=replace(wanted, embedding=True)).pooling


class TestRanks:
    def test_degrees_by_field_and_by_option(self) -> None:
        four = (card(),) * 4
        field = Workload(context_tokens=8192, tensor_parallel=2, pipeline_parallel=2)
        for found in (
            settings(*four, wanted=field),
            settings(*four, tensor_parallel_size="2", pipeline_parallel_size="2"),
        ):
            assert (found.tensor_parallel, found.pipeline_parallel) == (2, 2)
            assert len(found.gpus) == 4

    @pytest.mark.parametrize(
        ("gpus", "pipeline", "tensor"), [((1,), None, 1), ((0, 2), None, 2), ((0, 1, 2, 3), 2, 2),
                                         ((0,), 2, 1)]
    )  # fmt: skip
    def test_named_devices_are_ranks(
        self, gpus: tuple[int, ...], pipeline: int | None, tensor: int
    ) -> None:
        wanted = Workload(context_tokens=8192, gpus=gpus, pipeline_parallel=pipeline)
        found = settings(*(card(),) * 4, wanted=wanted)
        assert found.tensor_parallel == tensor
        assert [gpu.index for gpu in found.gpus] == list(gpus)[: tensor * (pipeline or 1)]

    def test_the_freest_cards_are_taken_in_their_order(self) -> None:
        gpus = (
            card(free_bytes=10),
            card(free_bytes=30),
            card(free_bytes=None),
            card(free_bytes=20),
        )
        wanted = Workload(context_tokens=8192, tensor_parallel=2)
        assert [gpu.index for gpu in settings(*gpus, wanted=wanted).gpus] == [1, 3]
        equal = (card(), card(), card())
        assert [gpu.index for gpu in settings(*equal, wanted=wanted).gpus] == [0, 1]

    def test_a_named_device_that_is_not_there_is_left_out(self) -> None:
        wanted = Workload(context_tokens=8192, gpus=(7, 1))
        assert [gpu.index for gpu in settings(card(), card(), wanted=wanted).gpus] == [1]

    def test_more_named_devices_than_ranks_are_not_used(self) -> None:
        wanted = Workload(context_tokens=8192, gpus=(2, 0, 1), tensor_parallel=2)
        assert [gpu.index for gpu in settings(*(card(),) * 3, wanted=wanted).gpus] == [2, 0]


EXPERTS = replace(MODEL, layers=(LAYER, replace(LAYER, feed_forward=0, moe=True)) * 2)
STATES = replace(
    MODEL,
    layers=(LAYER, replace(LAYER, kv_heads=0, state=RecurrentState(4, 64, 16, 1, heads=32))) * 2,
)


class TestByVersion:
    @pytest.mark.parametrize(
        ("model", "version", "second"),
        [
            (MODEL, "0.22.0", False), (MODEL, "0.23.0", True), (replace(MODEL, name="new"), "0.24.0", False),
            (replace(MODEL, name="new"), "0.25.0", True), (replace(EXPERTS, name="new"), "0.25.0", False),
            (replace(STATES, name="new"), "0.25.0", False), (replace(EXPERTS, name="new"), "0.31.0", True),
        ],
    )  # fmt: skip
    def test_which_runner(self, model: Architecture, version: str, second: bool) -> None:
        assert settings(model=model, version=version).v2_runner is second

    def test_states_are_cached_by_newer_versions_or_on_request(self) -> None:
        assert settings(model=MODEL, version="0.20.0").prefix_caching
        assert not settings(model=STATES, version="0.25.0").prefix_caching
        assert settings(model=STATES, version="0.26.0").prefix_caching
        on = settings(model=STATES, version="0.25.0", enable_prefix_caching=None)
        assert on.prefix_caching
        off = settings(model=MODEL, version="0.26.0", no_enable_prefix_caching=None)
        assert not off.prefix_caching

    @pytest.mark.parametrize(
        ("capability", "kind", "packed"),
        [
            ("9.0", "fp8", True), ("9.0", "auto", False), ("10.0", "fp8", False),
            ("10.0", "fp8_ds_mla", True), ("12.0", "fp8", True), (None, "fp8", True),
        ],
    )  # fmt: skip
    def test_the_layout_of_a_sparse_cache(
        self, capability: str | None, kind: str, packed: bool
    ) -> None:
        found = settings(card(compute_capability=capability), kv_cache_dtype=kind)
        assert found.packed_sparse_cache is packed


@pytest.mark.parametrize(
    ("vendor", "version", "charged"),
    [
        ("nvidia", "0.19.0", False), ("nvidia", "0.20.0", True), ("amd", "0.20.0", False),
        ("nvidia", "0.32.0", True), ("amd", "0.32.0", True),
    ],
)  # fmt: skip
def test_the_versions_whose_pool_is_less_the_graphs(
    vendor: str, version: str, charged: bool
) -> None:
    assert settings(card(vendor=vendor), version=version).charges_graphs is charged
