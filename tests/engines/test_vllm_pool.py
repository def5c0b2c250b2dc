"""vLLM's KV pool against values that the code did not make.

Sources: start-up logs that the engine printed (named in each test), and vLLM's own formulas with
their numbers worked out by hand: ``SlidingWindowSpec.max_memory_usage_bytes`` (a window less the
current token, one step of the batch, one block more because a window may start inside a block),
``ChunkedLocalAttentionSpec`` (the chunk and one step), ``unify_kv_cache_spec_page_size`` (smaller
pages take more tokens), ``_report_kv_cache_config`` (blocks / groups x the smallest block, times
the decode context parallel size).
"""

from __future__ import annotations

import pytest

from modelscan.core.architecture import (
    Architecture,
    Attention,
    Latent,
    Layer,
    ModelShape,
    RecurrentState,
    Weights,
)
from modelscan.core.estimate import Estimate
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.vllm import kv_pool, memory
from modelscan.engines.vllm.kv_pool import Capacity, Pool
from modelscan.engines.vllm.settings import resolve
from modelscan.engines.vllm.versions import facts_for
from modelscan.memory.rank_weights import LayerCounts

FULL = Layer(Attention.FULL, 32, 8, 128, 128, feed_forward=14336)  # 4096 bytes a token in BF16
SLIDING = Layer(Attention.SLIDING, 32, 8, 128, 128, 1024, feed_forward=14336)


def cards(count: int, gib: float = 94.97) -> Inventory:
    memory = round(gib * GIB)
    gpus = tuple(
        Gpu(index, "card", "nvidia", memory, memory - GIB // 2, "simulated",
            compute_capability="9.0")
        for index in range(count)
    )  # fmt: skip
    return Inventory(gpus, Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB))


def architecture(*layers: Layer, **changes: object) -> Architecture:
    values: dict[str, object] = {
        "name": "llama", "layers": layers, "hidden": 4096, "vocabulary": 32000,
        "context_tokens": 1_048_576,
    }  # fmt: skip
    return Architecture(**(values | changes))  # type: ignore[arg-type]


def workload(context: int = 8192, tensor_parallel: int = 1, **options: str) -> Workload:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return Workload(context_tokens=context, tensor_parallel=tensor_parallel, parameters=parameters)


def laid_out(
    model: Architecture, wanted: Workload, version: str = "0.19.0", pool_bytes: int = 40 * GIB
) -> tuple[Pool, Capacity]:
    """The pool of one rank that runs every layer, and what ``pool_bytes`` of it hold."""
    facts = facts_for(version)
    settings = resolve(model, wanted, cards(wanted.tensor_parallel or 1), facts)
    counts: LayerCounts = model.layer_counts
    pool = kv_pool.layout(model, counts, settings, facts)
    capacity = kv_pool.capacity(pool, pool_bytes, settings, facts)
    assert capacity is not None
    return pool, capacity


def request_blocks(model: Architecture, wanted: Workload, version: str = "0.19.0") -> int:
    pool, capacity = laid_out(model, wanted, version)
    return capacity.request_bytes // pool.block_bytes


class TestSparseAttention:
    """GLM-5.1 and DeepSeek-V3.2: a latent of 512 + 64 values and an indexer of 128 values."""

    @staticmethod
    def glm(mtp_layers: int = 1) -> ModelShape:
        layer = Layer(Attention.MLA, 64, 64, 256, 256, moe=False, feed_forward=12288)
        model = architecture(
            *(layer,) * 78, hidden=6144, vocabulary=154880, latent=Latent(512, 64),
            mtp_layers=mtp_layers, extra={"indexer_key_length": 128},
        )  # fmt: skip
        weights = Weights(200 * GIB, "exact", 100_000_000_000, embedding_bytes=0, output_bytes=0)
        return ModelShape(model, weights, "safetensors", "NVFP4")

    # vLLM 0.20.2 nightly, 2026-05, GLM-5.1-NVFP4 on eight 96 GB cards, 202,752 tokens, fp8 cache:
    # decode context parallel, MTP, "Available KV cache memory" in GiB, tokens, "Maximum concurrency"
    LOGS = (
        (1, False, 19.55, 341_504, 1.68),
        (1, True, 18.51, 319_232, 1.57),
        (2, False, 19.47, 680_192, 3.35),
        (2, True, 18.42, 635_520, 3.13),
        (4, False, 19.47, 1_360_384, 6.71),
        (4, True, 18.42, 1_271_040, 6.27),
        (8, False, 19.47, 2_720_768, 13.42),
        (8, True, 14.15, 1_952_256, 9.63),
    )

    def run(self, context_parallel: int, mtp: bool, **options: str) -> Estimate:
        if mtp:
            options["speculative_config"] = '{"method": "mtp", "num_speculative_tokens": 3}'
        wanted = workload(
            202_752, 8, kv_cache_dtype="fp8",
            decode_context_parallel_size=str(context_parallel), **options,
        )  # fmt: skip
        return memory.estimate(self.glm(), wanted, cards(8), version="0.20.2")

    @pytest.mark.parametrize(("parallel", "mtp", "pool_gib", "tokens", "concurrency"), LOGS)
    def test_a_pool_of_the_logged_size_holds_the_logged_tokens(
        self, parallel: int, mtp: bool, pool_gib: float, tokens: int, concurrency: float
    ) -> None:
        blocks = tokens // parallel // 64
        found = self.run(parallel, mtp, num_gpu_blocks_override=str(blocks))
        assert found.kv_capacity_tokens == tokens
        assert found.max_concurrency == concurrency
        block_bytes = (79 if mtp else 78) * 64 * (656 + 132)
        assert found.kv_bytes_per_token == pytest.approx(block_bytes / 64 / parallel, abs=1)
        # The log prints two decimals, and the last block may not fill the pool.
        assert (
            pool_gib - 0.005 - block_bytes / GIB <= blocks * block_bytes / GIB <= pool_gib + 0.005
        )

    @pytest.mark.parametrize(("parallel", "mtp", "pool_gib", "tokens", "concurrency"), LOGS)
    def test_the_logged_bytes_give_the_logged_tokens_to_the_printed_digits(
        self, parallel: int, mtp: bool, pool_gib: float, tokens: int, concurrency: float
    ) -> None:
        found = self.run(parallel, mtp, kv_cache_memory_bytes=str(round(pool_gib * GIB)))
        assert found.kv_capacity_tokens == pytest.approx(tokens, rel=0.005 / pool_gib + 2e-4)
        assert found.max_concurrency == pytest.approx(concurrency, abs=0.02)

    @pytest.mark.parametrize(
        ("cache", "layer_bytes"),
        [
            ("auto", 576 * 2 + 132),  # the latent in BF16, the indexer in 8 bits with its scale
            ("fp8", 656 + 132),  # 512 fp8 + 4 fp32 scales + 64 bf16, and the indexer
            ("fp8_ds_mla", 656 + 132),
        ],
    )
    def test_every_cache_type_has_its_entry(self, cache: str, layer_bytes: int) -> None:
        pool, _ = laid_out(self.glm().architecture, workload(kv_cache_dtype=cache))
        assert pool.block_bytes == 78 * 64 * layer_bytes

    def test_a_latent_without_an_indexer_is_only_the_latent(self) -> None:
        layer = Layer(Attention.MLA, 16, 16, 192, 128, feed_forward=1408)
        for extra in ({}, {"indexer_key_length": 0}):
            model = architecture(*(layer,) * 27, latent=Latent(512, 64), extra=extra)
            assert laid_out(model, workload())[0].block_bytes == 27 * 64 * 576 * 2
            eight = laid_out(model, workload(kv_cache_dtype="fp8"))[0]
            assert eight.block_bytes == 27 * 64 * 576


class TestWhatOneLayerStores:
    def test_a_latent_model_may_have_plain_layers(self) -> None:
        model = architecture(FULL, latent=Latent(512, 64))
        assert laid_out(model, workload())[0].block_bytes == 16 * 2 * 8 * 128 * 2

    def test_heads_are_divided_and_then_copied(self) -> None:
        model = architecture(Layer(Attention.FULL, 32, 2, 128, 128, feed_forward=14336))
        per_gpu = {
            degree: laid_out(model, workload(tensor_parallel=degree))[0].block_bytes
            for degree in (1, 2, 4, 8)
        }
        head = 16 * 2 * 128 * 2
        assert per_gpu == {1: 2 * head, 2: head, 4: head, 8: head}

    def test_layers_that_read_anothers_cache_store_none(self) -> None:
        shared = Layer(Attention.FULL, 32, 8, 128, 128, owns_cache=False, feed_forward=14336)
        nothing = Layer(Attention.NONE, 32, 8, 128, 128, feed_forward=14336)
        model = architecture(FULL, FULL, shared, shared, shared, nothing)
        assert laid_out(model, workload())[0].block_bytes == 2 * 16 * 4096

    def test_four_bit_values_carry_a_scale_for_sixteen(self) -> None:
        pool, _ = laid_out(architecture(FULL), workload(kv_cache_dtype="nvfp4"))
        assert pool.block_bytes == 16 * 2048 * 9 // 16

    def test_a_page_is_a_whole_number_of_bytes(self) -> None:
        """66 values of 4.5 bits are 37.125 bytes."""
        layer = Layer(Attention.FULL, 1, 1, 33, 33, feed_forward=64)
        pool, _ = laid_out(architecture(layer), workload(kv_cache_dtype="nvfp4", block_size="1"))
        assert pool.block_bytes == 38


class TestPredictionLayers:
    MTP = '{"method": "mtp", "num_speculative_tokens": 1}'

    @pytest.mark.parametrize(("stored", "cached"), [(0, 1), (1, 1), (2, 2), (3, 3)])
    def test_each_stored_one_has_a_cache_and_an_unknown_number_is_one(
        self, stored: int, cached: int
    ) -> None:
        model = architecture(*(FULL,) * 32, mtp_layers=stored)
        assert laid_out(model, workload())[0].block_bytes == 32 * 16 * 4096
        drafting = laid_out(model, workload(speculative_config=self.MTP))[0]
        assert drafting.block_bytes == (32 + cached) * 16 * 4096

    def test_they_cache_like_the_models_last_whole_layer(self) -> None:
        wide = Layer(Attention.FULL, 32, 16, 128, 128, feed_forward=14336)
        model = architecture(wide, wide, FULL, FULL, SLIDING, mtp_layers=1)
        options = {"speculative_config": self.MTP, "disable_hybrid_kv_cache_manager": "true"}
        plain = laid_out(model, workload(disable_hybrid_kv_cache_manager="true"))[0]
        drafting = laid_out(model, workload(**options))[0]
        assert drafting.block_bytes - plain.block_bytes == 16 * 4096

    def test_without_a_whole_layer_there_is_no_cache_for_them(self) -> None:
        model = architecture(*(SLIDING,) * 4, mtp_layers=1)
        drafting = laid_out(model, workload(speculative_config=self.MTP))[0]
        assert drafting.block_bytes == 4 * 16 * 4096

    def test_a_hybrid_pads_its_groups_to_the_whole_layers_and_the_drafter(self) -> None:
        """vLLM 0.20, Qwen3.6-27B with MTP on a 32 GB card: "3 padding layers": 16 + 1 whole
        layers and 48 linear ones in groups of 17 are 4 groups, 68 slots for 65 layers.
        """
        state = RecurrentState(conv_kernel=4, inner=6144, state=128, groups=16, heads=48)
        linear, whole = Layer(Attention.LINEAR, state=state), Layer(Attention.FULL, 24, 4, 256, 256)
        model = architecture(*(linear, linear, linear, whole) * 16, mtp_layers=1)
        pool, _ = laid_out(model, workload(speculative_config=self.MTP), "0.20.0")
        assert (pool.groups, pool.group_layers, pool.slots) == (4, 17, 68)
        assert not pool.uniform


class TestBlocksOfARequest:
    @pytest.mark.parametrize(("context", "blocks"), [(1, 1), (16, 1), (17, 2), (8192, 512)])
    def test_whole_attention_keeps_every_token(self, context: int, blocks: int) -> None:
        assert request_blocks(architecture(FULL), workload(context)) == blocks

    @pytest.mark.parametrize(
        ("parallel", "blocks"), [(1, 512), (2, 256), (4, 128), (3, 171)]
    )  # 8192 / 3 = 2730.7 -> 2731 tokens -> 170.7 blocks
    def test_context_parallel_divides_the_length(self, parallel: int, blocks: int) -> None:
        wanted = workload(8192, decode_context_parallel_size=str(parallel))
        pool, capacity = laid_out(architecture(FULL), wanted, pool_bytes=1000 * 16 * 4096)
        assert capacity.request_bytes == blocks * pool.block_bytes
        assert capacity.tokens == 1000 * 16 * parallel
        assert capacity.bytes_per_token == pytest.approx(4096 / parallel)
        assert capacity.concurrency == pytest.approx(1000 / blocks)

    def test_a_rank_may_hold_one_token_more_than_its_share(self) -> None:
        """8193 tokens over two ranks are 4097 on the first: 257 blocks, not 256."""
        wanted = workload(8193, decode_context_parallel_size="2")
        assert request_blocks(architecture(FULL), wanted) == 257

    @pytest.mark.parametrize(
        ("window", "context", "blocks"),
        [
            (1024, 65536, 193),  # 1023 + 2048 tokens are 191.9 blocks, and one of border
            (1025, 65536, 193),  # 1024 + 2048 are 192 whole ones
            (1026, 65536, 194),
            (1024, 2048, 129),  # never more than the context: 128 blocks
            (1024, 3071, 193),
        ],
    )
    def test_a_window_keeps_its_tokens_a_step_and_a_border(
        self, window: int, context: int, blocks: int
    ) -> None:
        layer = Layer(Attention.SLIDING, 32, 8, 128, 128, window, feed_forward=14336)
        wanted = workload(context, max_num_batched_tokens="2048")
        assert request_blocks(architecture(layer), wanted) == blocks

    @pytest.mark.parametrize(
        ("chunk", "context", "blocks"),
        [(1024, 65536, 192), (1025, 65536, 193), (1008, 65536, 191), (1024, 2048, 128)],
    )
    def test_a_chunk_keeps_its_tokens_and_a_step(
        self, chunk: int, context: int, blocks: int
    ) -> None:
        layer = Layer(Attention.CHUNKED, 32, 8, 128, 128, chunk, feed_forward=14336)
        wanted = workload(context, max_num_batched_tokens="2048")
        assert request_blocks(architecture(layer), wanted) == blocks

    def test_windows_are_kept_whole_without_hybrid_groups(self) -> None:
        """Builds before 0.9.1, the option, and an architecture that is a guess."""
        model = architecture(FULL, SLIDING, SLIDING)
        off = workload(65536, disable_hybrid_kv_cache_manager="true")
        guess = architecture(FULL, SLIDING, SLIDING, known=False)
        for found in (
            laid_out(model, workload(65536), "0.9.0"),
            laid_out(model, off),
            laid_out(guess, workload(65536)),
        ):
            pool, capacity = found
            assert pool.block_bytes == 3 * 16 * 4096
            assert pool.uniform
            assert capacity.request_bytes == 65536 * 3 * 4096


class TestMixedPages:
    """Gemma-4-31b: 50 windows of 16 heads x 256 and 10 whole layers of 4 x 512, in BF16."""

    WINDOW = Layer(Attention.SLIDING, 32, 16, 256, 256, 1024, feed_forward=21504)
    WHOLE = Layer(Attention.FULL, 32, 4, 512, 512, feed_forward=21504)

    def test_smaller_pages_take_more_tokens_and_the_smallest_block_is_printed(self) -> None:
        """Pages: 16 x 16 heads x 512 values x 2 = 262,144 bytes, whole layers 131,072: these take
        32 tokens a block. 6 groups of 10 layers; 600 blocks print 600 / 6 x 16 = 1600 tokens.
        """
        model = architecture(*(*(self.WINDOW,) * 5, self.WHOLE) * 10)
        wanted = workload(8192, max_num_batched_tokens="2048")
        pool, capacity = laid_out(model, wanted, pool_bytes=600 * 10 * 262_144)
        assert (pool.groups, pool.group_layers, pool.block_bytes) == (6, 10, 10 * 262_144)
        assert sorted(kind.block_tokens for kind in pool.kinds) == [16, 16, 16, 16, 16, 32]
        assert capacity.blocks == 600
        assert capacity.tokens == 1600
        assert capacity.bytes_per_token == 6 * 10 * 262_144 / 16
        need = 8192 // 32 + 5 * 193
        assert capacity.request_bytes == need * 10 * 262_144
        assert capacity.concurrency == pytest.approx(600 / need)

    def test_newer_builds_print_concurrency_times_length(self) -> None:
        model = architecture(*(*(self.WINDOW,) * 5, self.WHOLE) * 10)
        wanted = workload(8192, max_num_batched_tokens="2048")
        _, capacity = laid_out(model, wanted, "0.27.1", pool_bytes=600 * 10 * 262_144)
        need = 8192 // 32 + 5 * 193
        assert capacity.tokens == int(600 / need * 8192)
        assert capacity.bytes_per_token == pytest.approx(need * 10 * 262_144 / 8192)

    def test_context_parallel_multiplies_the_printed_tokens_of_groups(self) -> None:
        model = architecture(*(*(self.WINDOW,) * 5, self.WHOLE) * 10)
        wanted = workload(8192, max_num_batched_tokens="2048", decode_context_parallel_size="2")
        _, capacity = laid_out(model, wanted, pool_bytes=600 * 10 * 262_144)
        assert capacity.tokens == 2 * 1600
        assert capacity.bytes_per_token == 6 * 10 * 262_144 / 32


class TestGroups:
    """``_get_kv_cache_groups_uniform_page_size``: the larger type is the group size while it has
    fewer than 1.25 (from 0.18: 1.5) times the layers of the smaller one, else the smaller one is.
    """

    @pytest.mark.parametrize(
        ("version", "full", "sliding", "groups", "size"),
        [
            ("0.17.0", 8, 9, 2, 9),
            ("0.17.0", 8, 10, 3, 8),
            ("0.17.0", 10, 8, 3, 8),
            ("0.19.0", 10, 14, 2, 14),
            ("0.19.0", 10, 15, 3, 10),
            ("0.19.0", 1, 1, 2, 1),
            ("0.19.0", 5, 29, 7, 5),
        ],
    )
    def test_the_size_of_a_group(
        self, version: str, full: int, sliding: int, groups: int, size: int
    ) -> None:
        model = architecture(*(FULL,) * full, *(SLIDING,) * sliding)
        pool, _ = laid_out(model, workload(), version)
        assert (pool.groups, pool.group_layers, pool.block_bytes) == (
            groups,
            size,
            size * 16 * 4096,
        )

    def test_layers_of_different_sizes_and_one_kind_share_a_table(self) -> None:
        """``UniformTypeKVCacheSpecs``: one group, a block is the sum of the layers' pages."""
        wide = Layer(Attention.FULL, 32, 16, 128, 128, feed_forward=14336)
        pool, capacity = laid_out(architecture(FULL, wide, wide), workload(8192))
        assert (pool.groups, pool.group_layers, pool.uniform) == (1, 3, True)
        assert pool.block_bytes == 16 * (4096 + 2 * 8192)
        assert capacity.request_bytes == 512 * pool.block_bytes

    def test_windows_of_two_widths_are_two_types(self) -> None:
        narrow = Layer(Attention.SLIDING, 32, 8, 128, 128, 512, feed_forward=14336)
        pool, _ = laid_out(architecture(narrow, SLIDING), workload())
        assert (pool.groups, pool.group_layers, pool.uniform) == (2, 1, False)


class TestStates:
    """Nemotron-like Mamba-2: convolution (4 - 1) x (8192 + 2 x 8 x 128) values = 61,440 bytes in
    BF16; recurrent 8192 x 128 values = 2,097,152 bytes, twice that in float32.
    """

    STATE = RecurrentState(conv_kernel=4, inner=8192, state=128, groups=8, heads=128)
    MAMBA = Layer(Attention.SSM, state=STATE)
    HALF, WHOLE = 61_440 + 2_097_152, 61_440 + 4_194_304

    def test_a_model_of_states_only_pays_per_request(self) -> None:
        pool, capacity = laid_out(
            architecture(*(self.MAMBA,) * 4), workload(no_enable_prefix_caching="true"),
            pool_bytes=10 * 4 * self.HALF,
        )  # fmt: skip
        assert pool.block_bytes == 4 * self.HALF
        assert pool.uniform  # one type of layer is no hybrid
        assert (capacity.blocks, capacity.concurrency) == (10, 10.0)
        assert capacity.request_bytes == 4 * self.HALF

    def test_a_state_takes_the_type_the_config_or_the_option_names(self) -> None:
        named = architecture(self.MAMBA, extra={"mamba_ssm_dtype": "float32"})
        plain = architecture(self.MAMBA)
        option = workload(mamba_ssm_cache_dtype="float32")
        assert laid_out(named, workload())[0].block_bytes == self.WHOLE
        assert laid_out(plain, option)[0].block_bytes == self.WHOLE
        assert laid_out(plain, workload())[0].block_bytes == self.HALF
        override = workload(mamba_ssm_cache_dtype="bfloat16")
        assert laid_out(named, override)[0].block_bytes == self.HALF

    def test_tensor_parallel_divides_a_state(self) -> None:
        pool, _ = laid_out(architecture(self.MAMBA), workload(tensor_parallel=2))
        assert pool.block_bytes == self.HALF // 2

    @pytest.mark.parametrize(
        ("version", "caching", "speculative", "blocks"),
        [
            ("0.16.0", True, 0, 1),
            ("0.17.0", True, 0, 2),
            ("0.17.0", False, 0, 1),
            ("0.17.0", True, 2, 4),
            ("0.17.0", False, 2, 3),
        ],
    )
    def test_blocks_of_states_a_request_holds(
        self, version: str, caching: bool, speculative: int, blocks: int
    ) -> None:
        """One state; from 0.17 two with prefix caching; one more for each drafted token."""
        options = {"enable_prefix_caching" if caching else "no_enable_prefix_caching": "true"}
        if speculative:
            options["speculative_config"] = f'{{"num_speculative_tokens": {speculative}}}'
        model, wanted = architecture(self.MAMBA, FULL), workload(4096, **options)
        facts = facts_for(version)
        settings = resolve(model, wanted, cards(1), facts)
        pool = kv_pool.layout(model, model.layer_counts, settings, facts)
        assert kv_pool.state_blocks(pool, settings, facts) == blocks
        # 2,158,592 bytes of state are 527 tokens of 4096 bytes: 33 blocks of 16, 528 tokens
        assert kv_pool.blocks_per_request(pool, settings, facts) == blocks + -(-4096 // 528)

    def test_the_widest_attention_page_grows_to_hold_a_state(self) -> None:
        """Attention of 4096 and of 1024 bytes a token: the wider one needs 527 tokens, 33 blocks
        of 16. The narrow page is widened by whole blocks: 4 x 528 tokens.
        """
        narrow = Layer(Attention.FULL, 32, 2, 128, 128, feed_forward=14336)
        pool, _ = laid_out(architecture(self.MAMBA, FULL, narrow), workload())
        page = 528 * 4096
        assert {kind.page_bytes for kind in pool.kinds} == {page}
        assert sorted(kind.block_tokens for kind in pool.kinds) == [0, 528, 4 * 528]

    def test_a_small_state_leaves_the_block_as_it_is(self) -> None:
        small = Layer(Attention.SSM, state=RecurrentState(4, 64, 16, 1, heads=1))
        pool, _ = laid_out(architecture(small, FULL), workload())
        assert pool.block_bytes == 16 * 4096
        assert sorted(kind.block_tokens for kind in pool.kinds) == [0, 16]

    def test_only_the_growing_layers_cost_bytes_per_token(self) -> None:
        """One full layer: keys and values of 8 heads x 128 values x 2 bytes = 4,096 bytes a token,
        half of that on each of two context-parallel ranks; the state costs none."""
        small = Layer(Attention.SSM, state=RecurrentState(4, 64, 16, 1, heads=1))
        model = architecture(small, FULL)
        _, capacity = laid_out(model, workload())
        assert capacity.bytes_per_token == 4096
        _, divided = laid_out(model, workload(decode_context_parallel_size="2"))
        assert divided.bytes_per_token == 2048

    def test_a_layer_may_keep_a_state_and_a_cache(self) -> None:
        """Falcon-H1: attention and Mamba side by side in each layer: two groups."""
        both = Layer(Attention.FULL, 32, 8, 128, 128, state=self.STATE, feed_forward=14336)
        pool, _ = laid_out(architecture(*(both,) * 6), workload())
        assert (pool.groups, pool.group_layers) == (2, 6)
        assert pool.block_bytes == 6 * 528 * 4096


class TestCapacity:
    def test_no_cache_has_no_capacity(self) -> None:
        model = architecture(FULL, encoder_only=True)
        facts = facts_for("0.19.0")
        settings = resolve(model, workload(), cards(1), facts)
        pool = kv_pool.layout(model, model.layer_counts, settings, facts)
        assert pool.kinds == ()
        assert kv_pool.capacity(pool, GIB, settings, facts) is None

    def test_a_pool_below_zero_has_no_blocks(self) -> None:
        _, capacity = laid_out(architecture(FULL), workload(), pool_bytes=-GIB)
        assert (capacity.blocks, capacity.tokens, capacity.concurrency) == (0, 0, 0.0)

    def test_a_block_counts_when_it_is_whole(self) -> None:
        _, almost = laid_out(architecture(FULL), workload(), pool_bytes=10 * 16 * 4096 - 1)
        _, full = laid_out(architecture(FULL), workload(), pool_bytes=10 * 16 * 4096)
        assert (almost.blocks, full.blocks) == (9, 10)

    def test_a_group_that_is_cut_short_holds_nothing(self) -> None:
        """0.19 prints blocks / groups x block: 11 blocks of two groups are 5 blocks of tokens."""
        _, capacity = laid_out(architecture(FULL, SLIDING), workload(), pool_bytes=11 * 16 * 4096)
        assert (capacity.blocks, capacity.tokens) == (11, 5 * 16)
        assert capacity.bytes_per_token == 2 * 4096

    def test_a_model_of_states_counts_in_requests(self) -> None:
        """Without anything that grows a "token" is a block of one."""
        _, capacity = laid_out(
            architecture(TestStates.MAMBA), workload(), pool_bytes=6 * TestStates.HALF
        )
        assert (capacity.blocks, capacity.tokens) == (6, 6)
        assert (capacity.bytes_per_token, capacity.request_bytes) == (0, TestStates.HALF)
