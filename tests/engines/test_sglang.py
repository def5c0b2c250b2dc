"""SGLang's static pools, beside numbers of published start-up logs (see the notes per test)."""

from __future__ import annotations

from dataclasses import replace

import pytest

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
from modelscan.core.errors import NotDeployableError
from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Workload
from modelscan.engines.sglang import memory as sglang
from modelscan.engines.sglang import pools as sglang_pool
from modelscan.engines.sglang.settings import resolve
from modelscan.engines.sglang.versions import auto_fraction, facts_for, vision_factor


def cards(memory_gib: float, count: int = 1, free_gib: float | None = None) -> Inventory:
    memory = round(memory_gib * GIB)
    free = memory if free_gib is None else round(free_gib * GIB)
    gpus = tuple(Gpu(i, "card", "nvidia", memory, free, "simulated") for i in range(count))
    return Inventory(gpus, Host(8, 64 * GIB, 60 * GIB))


def model(layers: tuple[Layer, ...], weights_gib: float, hidden: int = 4096) -> ModelShape:
    architecture = Architecture("test", layers, hidden, 151936, 40960)
    weights = Weights(round(weights_gib * GIB), "exact")
    return ModelShape(architecture, weights, "safetensors", "BF16")


def full(count: int, heads: int, kv: int, head: int = 128) -> tuple[Layer, ...]:
    return (Layer(Attention.FULL, heads, kv, head, head, feed_forward=3072),) * count


def workload(context: int = 8192, **options: str | None) -> Workload:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    return Workload(context_tokens=context, parameters=parameters)


def test_the_pool_is_the_fraction_less_weights() -> None:
    """24 GiB card, fraction 0.88 (0.4.2): 22.76 free, 14.39 of weights, KV 5.64 GiB."""
    shape = model(full(28, 28, 4), 14.385 - 0.09)  # what loading takes beside them is counted too
    found = sglang.estimate(shape, workload(), cards(24, free_gib=22.76 + 0.6), version="0.4.2")
    assert (found.per_gpu[0].kv_pool_bytes or 0) / GIB == pytest.approx(5.64, rel=0.01)
    assert found.kv_bytes_per_token == 57344
    assert found.kv_capacity_tokens == pytest.approx(105_531, rel=0.01)


def test_states_take_their_ratio_first() -> None:
    """granite-4.0-h-micro: 36 Mamba and 4 attention layers, 2.77 GiB of state, 3.04 of KV."""
    state = RecurrentState(4, 4096, 128, 1, heads=64)
    layers = (Layer(Attention.SSM, state=state),) * 36 + full(4, 40, 8, 64)
    shape = model(layers, 5.98, hidden=2048)
    inventory = cards(16, free_gib=15.24 + 0.6)
    settings = resolve(shape.architecture, workload(), inventory, facts_for("0.5.8"))
    settings = replace(settings, fraction=0.7756)
    counts = shape.architecture.layer_counts
    per_token = sglang_pool.token_bytes(shape.architecture, counts, settings)
    slot = sglang_pool.state_bytes(counts, settings)
    pools = sglang_pool.sized(settings, per_token, slot, round(15.84 * GIB), round(5.98 * GIB))
    assert pools is not None
    assert pools.state_slots == 38
    assert pools.kv_bytes / GIB == pytest.approx(3.04, rel=0.05)
    assert pools.tokens == pytest.approx(399_740, rel=0.05)
    assert pools.requests(8192) == 38  # 48 by tokens, but a request needs a slot


def test_sparse_latent_cache_counts_its_indexer() -> None:
    """GLM-5 in BF16: 78 x (576 x 2 + 132) bytes a token."""
    layer = Layer(Attention.MLA, 64, 64, 256, 256)
    shape = model((layer,) * 78, 57.06 * 8)
    architecture = replace(
        shape.architecture, latent=Latent(512, 64), extra={"indexer_key_length": 128}
    )
    shape = replace(shape, architecture=architecture)
    wanted = replace(workload(mem_fraction_static="0.92"), tensor_parallel=8)
    found = sglang.estimate(shape, wanted, cards(96, 8, 93.99 + 1.6), version="0.5.9")
    assert found.kv_bytes_per_token == 78 * (1152 + 132) == 100_152
    assert found.kv_capacity_tokens == pytest.approx(314_304, rel=0.03)


def test_sliding_layers_have_a_shorter_pool() -> None:
    window = (Layer(Attention.SLIDING, 64, 8, 64, 64, 128, feed_forward=2880),) * 12
    shape = model((*window, *full(12, 64, 8, 64)), 12)
    new = sglang.estimate(shape, workload(), cards(80), version="0.5.23")
    old = sglang.estimate(shape, workload(), cards(80), version="0.5.0")
    each = 8 * 128 * 2
    assert new.kv_bytes_per_token == round(12 * each * 1.8)
    assert old.kv_bytes_per_token == 24 * each


@pytest.mark.parametrize(
    ("version", "gib", "chunk", "batch", "ranks", "fraction"),
    [
        ("0.4.2", 80, 8192, 256, 4, 0.85),
        ("0.4.10", 15.99, 2048, 8, 1, 0.812),  # log: 0.817
        ("0.5.23", 80, 8192, 256, 1, 0.836),  # (81920 - 13440) / 81920
        ("0.5.23", 96, 8192, 512, 8, 0.849),  # (98304 - 14848) / 98304
        ("0.5.23", 24, 2048, 24, 1, 0.847),
    ],
)
def test_the_fraction_by_version(
    version: str, gib: float, chunk: int, batch: int, ranks: int, fraction: float
) -> None:
    found = auto_fraction(facts_for(version), round(gib * GIB), chunk, batch, ranks)
    assert found == pytest.approx(fraction, abs=0.002)


def test_a_vision_tower_lowers_the_fraction() -> None:
    assert vision_factor(27, 1152) == pytest.approx(0.9097, abs=1e-4)
    shape = model(full(28, 28, 4), 8)
    seen = replace(shape, architecture=replace(shape.architecture, vision=True))
    plain = resolve(shape.architecture, workload(), cards(80), facts_for(None))
    vision = resolve(seen.architecture, workload(), cards(80), facts_for(None))
    assert vision.fraction == pytest.approx(plain.fraction * 0.95)


def test_weights_above_the_fraction_do_not_start() -> None:
    """DeepSeek-V4-Pro on H200: 125.65 GiB a GPU above 0.88 of 137.9."""
    shape = model(full(61, 128, 128), 125.65 * 8)
    wanted = replace(workload(mem_fraction_static="0.88"), tensor_parallel=8)
    found = sglang.estimate(shape, wanted, cards(140.4, 8, 139.5), version="0.5.15")
    assert found.verdict == "does_not_fit"
    assert "not enough memory" in found.warnings[0]
    assert found.kv_capacity_tokens == 0


def test_a_request_longer_than_the_pool_does_not_fit() -> None:
    shape = model(full(28, 28, 4), 14.4)
    found = sglang.estimate(shape, workload(131072), cards(24), version="0.5.23")
    assert found.verdict == "does_not_fit"
    assert "131,072 tokens" in found.warnings[0]


def test_parts_add_up_and_grow() -> None:
    shape = model(full(36, 32, 8), 15.3)
    one = sglang.estimate(shape, workload(), cards(80), version="0.5.23")
    more = sglang.estimate(shape, replace(workload(), parallel=4), cards(80), version="0.5.23")
    longer = sglang.estimate(shape, workload(16384), cards(80), version="0.5.23")
    assert one.total_bytes == one.parts.total_bytes == one.per_gpu[0].total_bytes
    assert more.parts.kv_cache_bytes == 4 * one.parts.kv_cache_bytes
    assert one.total_bytes < longer.total_bytes < more.total_bytes


def test_gguf_is_refused_and_no_gpu_is_no_verdict() -> None:
    shape = model(full(28, 28, 4), 14.4)
    with pytest.raises(NotDeployableError, match="GGUF"):
        sglang.estimate(replace(shape, format="gguf"), workload(), cards(24))
    assert sglang.estimate(shape, workload(), None).verdict is None


def test_the_fewest_gpus_are_chosen() -> None:
    shape = model(full(32, 32, 8), 30)
    found = sglang.estimate(shape, workload(), cards(24, 4), version="0.5.23")
    assert found.tensor_parallel == 2
    assert len(found.per_gpu) == 2
    assert found.verdict == "fits"


@pytest.mark.parametrize(("capability", "grown"), [("9.0", 3 / 17), ("10.0", 0.0), (None, 0.0)])
def test_hopper_widens_the_scales_of_fp4_experts(capability: str | None, grown: float) -> None:
    """4 bits and an 8-bit scale for 32 values; kernels of 9.0 take the scale in float32."""
    plain = model(full(4, 32, 8), 40.0)
    weights = replace(plain.weights, expert_bytes=34 * GIB)
    architecture = replace(plain.architecture, extra={"expert_dtype": "fp4"})
    packed = replace(plain, weights=weights, architecture=architecture)
    here = cards(141)
    here = replace(here, gpus=tuple(replace(g, compute_capability=capability) for g in here.gpus))
    found, before = (sglang.estimate(shape, workload(), here) for shape in (packed, plain))
    more = found.parts.weights_bytes - before.parts.weights_bytes
    assert more == pytest.approx(grown * 34 * GIB, abs=2)


def test_without_the_radix_cache_a_running_request_has_one_state() -> None:
    """A log of 32 requests: 4.7 GiB of states, KV 32.66 of 37.5; else a share of the pool."""
    state = RecurrentState(conv_kernel=4, inner=4096, state=128, groups=16, heads=32)
    layers = (Layer(Attention.LINEAR, state=state),) * 3 + full(1, 16, 2, 256)
    shape = model(layers, 10.0)
    plain = sglang.estimate(shape, workload(max_running_requests="32"), cards(80))
    bare = sglang.estimate(
        shape, workload(max_running_requests="32", disable_radix_cache=None), cards(80)
    )
    share, rest = (found.per_gpu[0].kv_pool_bytes or 0 for found in (plain, bare))
    state_bytes = bare.parts.recurrent_state_bytes
    assert rest + 32 * state_bytes == pytest.approx(1.9 * share, rel=0.001)


def test_graphs_end_at_the_running_requests() -> None:
    shape = model(full(8, 32, 8), 8.0)
    few = sglang.estimate(shape, workload(max_running_requests="32"), cards(80))
    many = sglang.estimate(shape, workload(), cards(80))
    assert few.parts.cuda_graph_bytes < many.parts.cuda_graph_bytes / 4


def test_layers_that_read_another_cache_have_one_all_the_same() -> None:
    """gemma-4-E4B's logs: 7 full and 35 sliding layers have pools, 18 of the 42 share."""
    owner = Layer(Attention.FULL, 8, 2, 256, 256, feed_forward=3072)
    reader = replace(owner, owns_cache=False)
    found = sglang.estimate(model((owner, reader), 8.0), workload(), cards(80))
    assert found.kv_bytes_per_token == 2 * 2 * 512 * 2


def test_loading_experts_leaves_memory_for_every_other_gpu() -> None:
    """Kimi-K2.5, GLM-5 and DeepSeek-V4-Pro on eight GPUs: 1.6 to 2.0 GiB more than the tensors."""
    layer = Layer(Attention.FULL, 32, 8, 128, 128, moe=True)
    sparse = model((layer,) * 8, 100.0)
    sparse = replace(
        sparse, architecture=replace(sparse.architecture, experts=Experts(64, 4, 1024))
    )
    dense = model((replace(layer, moe=False),) * 8, 100.0)
    eight = cards(96, count=8)

    def loaded(shape: ModelShape) -> int:
        found = sglang.estimate(shape, workload(tp_size="8"), eight, version="0.5.23")
        return found.per_gpu[0].parts.weights_bytes

    assert loaded(sparse) - loaded(dense) == pytest.approx(1.75 * GIB, rel=0.02)
