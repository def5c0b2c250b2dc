"""vLLM's budget and its start checks at their borders, with figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

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
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB, format_bytes
from modelscan.core.workload import Workload
from modelscan.engines.vllm import memory as vllm

H100 = round(79.19 * GIB)
# 32 layers of 8 key-value heads x 128 in BF16: 131,072 bytes a token, 1 GiB for 8192 tokens
LAYER = Layer(Attention.FULL, 32, 8, 128, 128, feed_forward=14336)


def model(*layers: Layer, parameters: int = 8_030_261_248, **changes: object) -> ModelShape:
    values: dict[str, object] = {
        "name": "llama", "layers": layers or (LAYER,) * 32, "hidden": 4096, "vocabulary": 128256,
        "context_tokens": 131072,
    }  # fmt: skip
    weights = Weights(parameters * 2, "exact", parameters, embedding_bytes=0, output_bytes=0)
    return ModelShape(
        Architecture(**(values | changes)),  # type: ignore[arg-type]
        weights, "safetensors", "BF16",
    )  # fmt: skip


def cards(count: int = 1, **changes: object) -> Inventory:
    values: dict[str, object] = {"memory_bytes": H100, "free_bytes": H100} | changes
    gpus = tuple(
        Gpu(index=i, name="NVIDIA H100 80GB HBM3", vendor="nvidia", source="simulated",
            compute_capability="9.0", **values)  # type: ignore[arg-type]
        for i in range(count)
    )  # fmt: skip
    return Inventory(gpus, Host(cpus=8, memory_bytes=64 * GIB, free_bytes=60 * GIB))


def workload(context: int = 8192, **options: str) -> Workload:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return Workload(context_tokens=context, parameters=parameters)


class TestBudget:
    """Logs: KV = utilisation x total - (weights + activation + non-torch [+ graphs])."""

    @pytest.mark.parametrize(
        ("version", "utilization", "graphs"), [("0.19.0", 0.9, False), ("0.32.0", 0.92, True)]
    )
    def test_the_pool_is_what_the_budget_leaves(
        self, version: str, utilization: float, graphs: bool
    ) -> None:
        found = vllm.estimate(model(), workload(), cards(), version=version)
        (device,) = found.per_gpu
        assert device.budget_bytes == round(H100 * utilization)
        charged = device.parts.weights_bytes + device.parts.compute_bytes
        charged += device.parts.non_torch_bytes
        charged += device.parts.cuda_graph_bytes if graphs else 0
        assert device.parts.cuda_graph_bytes > 0
        assert device.kv_pool_bytes == device.budget_bytes - charged

    def test_what_the_driver_keeps_is_not_in_the_total(self) -> None:
        found = vllm.estimate(model(), workload(), cards(reserved_bytes=GIB), version="0.19.0")
        assert found.per_gpu[0].budget_bytes == round((H100 - GIB) * 0.9)

    def test_a_card_of_unknown_memory_has_no_budget(self) -> None:
        found = vllm.estimate(model(), workload(), cards(memory_bytes=None), version="0.19.0")
        assert (found.per_gpu[0].budget_bytes, found.per_gpu[0].kv_pool_bytes) == (None, None)
        assert found.kv_capacity_tokens is None

    def test_weights_larger_than_the_budget_leave_a_pool_of_nothing(self) -> None:
        large = model(parameters=50_000_000_000)
        found = vllm.estimate(large, workload(), cards(), version="0.19.0")
        assert found.per_gpu[0].kv_pool_bytes == 0
        assert found.verdict == "does_not_fit"

    def test_the_newest_known_version_is_the_default(self) -> None:
        assert vllm.estimate(model(), workload(), cards()).backend_version == "0.32.0"
        named = replace(workload(), backend_version="0.19.0")
        assert vllm.estimate(model(), named, cards()).backend_version == "0.19.0"
        both = vllm.estimate(model(), named, cards(), version="0.21.0")
        assert both.backend_version == "0.21.0"

    def test_an_encoder_has_no_cache(self) -> None:
        found = vllm.estimate(model(encoder_only=True), workload(), cards(), version="0.32.0")
        assert found.kv_bytes_per_token == 0
        assert found.kv_capacity_tokens is None

    def test_an_encoder_needs_no_room_for_a_cache(self) -> None:
        """39.5 billion parameters are 73.6 GiB: more than the budget, less than the card."""
        shape = model(parameters=39_500_000_000, encoder_only=True)
        found = vllm.estimate(shape, workload(), cards(), version="0.32.0")
        assert found.per_gpu[0].kv_pool_bytes == 0
        assert not any("KV cache" in text or "cache blocks" in text for text in found.warnings)

    def test_without_a_gpu_it_is_said_that_nothing_is_known(self) -> None:
        line = "no GPU is known: no pool, no capacity, no verdict"
        none = vllm.estimate(model(), workload(), None)
        assert line in none.assumptions
        assert line not in vllm.estimate(model(), workload(), cards()).assumptions


class TestRanks:
    def test_every_rank_has_its_own_card(self) -> None:
        wanted = replace(workload(), tensor_parallel=2, pipeline_parallel=2)
        found = vllm.estimate(model(), wanted, cards(4), version="0.32.0")
        assert [device.index for device in found.per_gpu] == [0, 1, 2, 3]

    @pytest.mark.parametrize(("there", "enough"), [(3, False), (4, True)])
    def test_ranks_are_tensor_times_pipeline(self, there: int, enough: bool) -> None:
        wanted = replace(workload(), tensor_parallel=2, pipeline_parallel=2)
        found = vllm.estimate(model(), wanted, cards(there), version="0.32.0")
        problem = "4 GPUs are needed, 3 are available"
        assert (problem in found.warnings) is not enough
        assert (found.verdict != "does_not_fit") is enough


class TestWeights:
    def test_mla_keeps_its_up_projections_twice(self) -> None:
        """vLLM's W_UV and W_UK_T: heads x rank x (128 + 128) values of 2 bytes in every layer.

        DeepSeek-V2-Lite: 16 x 512 x 256 x 2 x 27 layers = 113,246,208 bytes. The rope table has
        context x 64 values of 2 bytes.
        """
        layer = Layer(Attention.MLA, 16, 16, 192, 128, feed_forward=10944)
        latent = Latent(512, 64, nope_length=128, value_length=128)
        shape = model(*(layer,) * 27, hidden=2048, latent=latent, context_tokens=163840)
        found = vllm.estimate(shape, workload(), cards(), version="0.19.0")
        rope = 163840 * 64 * 2
        assert found.parts.weights_bytes == 2 * 8_030_261_248 + 113_246_208 + rope


class TestCache:
    def test_states_and_tokens_are_counted_for_every_request(self) -> None:
        """A 0.17 log of this shape: block size 2096 with an 8-bit cache. 65,536 tokens are 32
        blocks; the states of 30 linear layers are three groups of two blocks each.
        """
        state = RecurrentState(conv_kernel=4, inner=4096, state=128, groups=16, heads=32)
        linear = Layer(Attention.LINEAR, state=state)
        whole = Layer(Attention.FULL, 16, 2, 256, 256)
        shape = model(*(linear, linear, linear, whole) * 10, extra={"mamba_ssm_dtype": "float32"})
        options = {"kv_cache_dtype": "fp8", "enable_prefix_caching": "true"}
        wanted = replace(workload(65536, **options), parallel=3)
        found = vllm.estimate(shape, wanted, cards(), version="0.17.0")
        page = 2096 * 1024
        assert found.parts.kv_cache_bytes == 3 * 32 * 10 * page
        assert found.parts.recurrent_state_bytes == 3 * 6 * 10 * page


class TestStart:
    def test_free_memory_must_reach_the_budget(self) -> None:
        budget = round(H100 * 0.92)
        enough = vllm.estimate(model(), workload(), cards(free_bytes=budget), version="0.32.0")
        short = vllm.estimate(model(), workload(), cards(free_bytes=budget - 1), version="0.32.0")
        unknown = vllm.estimate(model(), workload(), cards(free_bytes=None), version="0.32.0")
        assert "desired utilisation" in short.warnings[0]
        for found in (enough, unknown):
            assert not any("desired utilisation" in text for text in found.warnings)
            assert found.verdict != "does_not_fit"

    def test_a_request_may_fill_the_pool(self) -> None:
        full = workload(8192, kv_cache_memory_bytes=str(GIB))
        assert vllm.estimate(model(), full, cards(), version="0.32.0").warnings == ()
        short = workload(8192, kv_cache_memory_bytes=str(GIB - 1))
        found = vllm.estimate(model(), short, cards(), version="0.32.0")
        assert found.verdict == "does_not_fit"
        assert found.warnings[0].startswith("one request of 8192 tokens needs 1.00 GiB")

    def test_one_token_is_a_pool(self) -> None:
        one = workload(1, block_size="1", kv_cache_memory_bytes="131072")
        found = vllm.estimate(model(), one, cards(), version="0.32.0")
        assert found.kv_capacity_tokens == 1
        assert found.warnings == ()

    def test_what_leaves_no_room_is_weights_and_activations(self) -> None:
        found = vllm.estimate(model(), workload(), cards(memory_bytes=16 * GIB), version="0.32.0")
        need = found.parts.weights_bytes + found.parts.compute_bytes
        assert f"weights and activations take {format_bytes(need)} of a budget" in found.warnings[0]
