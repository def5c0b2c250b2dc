"""Speed: active bytes, bandwidth, layers; splits and offload; never a number out of nothing."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.architecture import (
    Architecture,
    Attention,
    Experts,
    Layer,
    ModelShape,
    RecurrentState,
    Weights,
)
from modelscan.core.estimate import DeviceEstimate, Estimate, Parts
from modelscan.core.gpu import Gpu, Host, Inventory, Link
from modelscan.core.workload import Workload
from modelscan.memory import speed as model
from modelscan.memory.shape import from_config

PARAMETERS = 8_030_261_248


def _qwen3(hidden: int, layers: int, heads: int, width: int, **more: object) -> dict[str, object]:
    return {
        "model_type": "qwen3_moe" if more else "qwen3", "architectures": ["Qwen3ForCausalLM"],
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": 4 if more else 8, "head_dim": 128, "intermediate_size": width,
        "vocab_size": 151936, "max_position_embeddings": 40960, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", **more,
    }  # fmt: skip


SERVED = {
    "Qwen/Qwen3-8B": _qwen3(4096, 36, 32, 12288),
    "Qwen/Qwen3-14B": _qwen3(5120, 40, 40, 17408),
    "Qwen/Qwen3-32B": _qwen3(5120, 64, 64, 25600),
    "Qwen/Qwen3-30B-A3B": _qwen3(
        2048, 48, 32, 6144, num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768
    ),
}


def shape(bits: float = 16, experts: Experts | None = None, layers: int = 32) -> ModelShape:
    layer = Layer(Attention.FULL, 32, 8, 128, 128, feed_forward=14336, moe=experts is not None)
    architecture = Architecture("llama", (layer,) * layers, 4096, 128256, 131072, experts=experts)
    total = round(PARAMETERS * bits / 8)
    expert_bytes = round(total * 0.9) if experts else None
    weights = Weights(total, "exact", PARAMETERS, expert_bytes=expert_bytes)
    return ModelShape(architecture, weights, "gguf", None)


def inventory(
    count: int = 1, bandwidth: float | None = 1008, vendor: str = "nvidia",
    capability: str | None = "8.9", tflops: float | None = 165.2, link: str | None = None,
) -> Inventory:  # fmt: skip
    gpus = tuple(
        Gpu(i, "card", vendor, 24 << 30, 24 << 30, "simulated", compute_capability=capability,
            memory_bandwidth_bytes_per_s=None if bandwidth is None else round(bandwidth * 1e9),
            fp16_tflops=tflops)
        for i in range(count)
    )  # fmt: skip
    links = (Link(0, 1, link),) if link else ()
    return Inventory(gpus, Host(8, 64 << 30, 60 << 30), links=links)


def estimated(
    subject: ModelShape, gpus: int = 1, host_bytes: int = 0, backend: str = "llama.cpp",
    tensor: int = 1, context: int = 512,
) -> Estimate:  # fmt: skip
    """Weights divided evenly over ``gpus``, ``host_bytes`` of them on the host."""
    each = (subject.weights.total_bytes - host_bytes) // max(1, gpus)
    devices = tuple(
        DeviceEstimate(i, Parts(weights_bytes=each), each) for i in range(gpus)
    )  # fmt: skip
    host = DeviceEstimate(None, Parts(weights_bytes=host_bytes), host_bytes)
    total = Parts(weights_bytes=subject.weights.total_bytes)
    return Estimate(
        "m", backend, None, None, context, 1, tensor, total, total.total_bytes, devices, 131072,
        None, None, "computed", 0, host=host if host_bytes or not gpus else None,
    )  # fmt: skip


def decode(
    subject: ModelShape, cards: Inventory, found: Estimate, workload: Workload | None = None
) -> float:
    batching = found.backend != "llama.cpp"
    answer = model.speed(subject, workload or Workload(), cards, found, batching=batching)
    assert answer is not None
    assert answer.decode_tokens_per_s is not None
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low < answer.decode_tokens_per_s < answer.high
    return answer.decode_tokens_per_s


@pytest.mark.parametrize(
    ("bits", "bandwidth", "capability", "measured"),
    [
        (16, 1008, "8.9", 54.3),  # RTX 4090, llama.cpp F16
        (4.9, 1008, "8.9", 127.7),
        (4.9, 448, "8.6", 72.8),  # RTX 3070
        (16, 1935, "8.0", 54.3),  # A100 PCIe
        (4.9, 2039, "9.0", 144.5),  # H100 PCIe
    ],
)
def test_an_8b_on_known_cards(
    bits: float, bandwidth: float, capability: str, measured: float
) -> None:
    subject = shape(bits)
    cards = inventory(bandwidth=bandwidth, capability=capability)
    assert decode(subject, cards, estimated(subject)) == pytest.approx(measured, rel=0.2)


def test_layer_split_brings_no_bandwidth() -> None:
    subject = shape()
    one = decode(subject, inventory(1), estimated(subject, 1))
    two = decode(subject, inventory(2), estimated(subject, 2))
    assert two == pytest.approx(one, rel=0.02)


def test_tensor_parallel_does_and_slow_links_cost() -> None:
    subject = shape()
    one = decode(subject, inventory(1), estimated(subject, backend="vllm"))
    found = estimated(subject, 2, backend="vllm", tensor=2)
    fast = decode(subject, inventory(2, link="nvlink"), found)
    slow = decode(subject, inventory(2), found)
    assert one * 1.5 < fast < one * 2
    assert one < slow < fast


def test_only_active_experts_are_read() -> None:
    dense, sparse = shape(), shape(experts=Experts(128, 8, 768))
    assert model.active_bytes(sparse) == pytest.approx(
        dense.weights.total_bytes * (0.1 + 0.9 / 16), rel=1e-6
    )
    faster = decode(sparse, inventory(), estimated(sparse))
    assert faster > 3 * decode(dense, inventory(), estimated(dense))


def test_layers_on_the_cpu_slow_it_down() -> None:
    subject = shape(4.9)
    rates = [
        decode(subject, inventory(), estimated(subject, host_bytes=share * 10**9))
        for share in (0, 1, 2, 4)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 4 * rates[3]


def test_experts_on_the_cpu_are_read_by_their_active_share() -> None:
    subject = shape(experts=Experts(128, 8, 768))
    found = estimated(subject, host_bytes=subject.weights.total_bytes // 2)
    flagged = decode(subject, inventory(), found, Workload(parameters=(("cpu-moe", None),)))
    plain = shape()
    assert flagged > 3 * decode(plain, inventory(), replace(found))


def test_no_gpu_is_the_cpus_speed() -> None:
    subject = shape(4.9)
    nothing = Inventory((), Host(8, 64 << 30, 60 << 30))
    found = estimated(subject, gpus=0, host_bytes=subject.weights.total_bytes)
    answer = model.speed(subject, Workload(), nothing, found)
    assert answer is not None
    assert answer.decode_tokens_per_s == pytest.approx(6, abs=2)
    assert answer.prefill_tokens_per_s is None
    assert "50 GB/s" in answer.basis


def test_longer_contexts_read_more_and_windows_do_not() -> None:
    subject = shape(4.9)
    short = decode(subject, inventory(), estimated(subject, context=1024))
    long = decode(subject, inventory(), estimated(subject, context=65536))
    assert long < 0.8 * short
    window = Layer(Attention.SLIDING, 32, 8, 128, 128, 1024, feed_forward=14336)
    windowed = replace(subject, architecture=replace(subject.architecture, layers=(window,) * 32))
    same = decode(windowed, inventory(), estimated(windowed, context=65536))
    assert same == pytest.approx(
        decode(windowed, inventory(), estimated(windowed, context=4096)), rel=0.01
    )


def test_states_are_read_once_whatever_the_context() -> None:
    state = RecurrentState(4, 4096, 128, 16, heads=32)
    linear = Architecture("x", (Layer(Attention.LINEAR, state=state),) * 2, 4096, 1000, 8192)
    assert model.cache_read_bytes(linear, 100, 2) == model.cache_read_bytes(linear, 10_000, 2)
    assert model.cache_read_bytes(linear, 1, 2) == 2 * 4 * 4096 * 128


def test_unknown_is_none() -> None:
    subject = shape()
    assert model.speed(subject, Workload(), None, estimated(subject)) is None
    unknown = inventory(bandwidth=None)
    assert model.speed(subject, Workload(), unknown, estimated(subject)) is None
    silent = model.speed(subject, Workload(), inventory(tflops=None), estimated(subject))
    assert silent is not None
    assert silent.prefill_tokens_per_s is None


def test_an_engine_without_measured_rows_says_so() -> None:
    subject = shape()
    answer = model.speed(
        subject,
        Workload(),
        inventory(vendor="intel"),
        estimated(subject, backend="vllm"),
        batching=True,
    )
    assert answer is not None
    assert "no measured rows" in answer.basis


def test_prefill_of_an_8b_on_a_4090() -> None:
    subject = shape()
    answer = model.speed(subject, Workload(), inventory(), estimated(subject))
    assert answer is not None
    assert answer.prefill_tokens_per_s == pytest.approx(9056, rel=0.45)


@settings(max_examples=60, deadline=None)
@given(bandwidth=st.integers(50, 8000), more=st.integers(1, 4000), bits=st.integers(2, 16))
def test_more_bandwidth_and_fewer_bits_are_never_slower(
    bandwidth: int, more: int, bits: int
) -> None:
    subject, lighter = shape(bits), shape(bits / 2)
    cards, faster = inventory(bandwidth=bandwidth), inventory(bandwidth=bandwidth + more)
    base = decode(subject, cards, estimated(subject))
    assert decode(subject, faster, estimated(subject)) >= base
    if (bits >= 8) == (bits / 2 >= 8):
        assert decode(lighter, cards, estimated(lighter)) >= base


@pytest.mark.parametrize(
    ("name", "tokens_per_s"),
    [("Qwen/Qwen3-8B", 90.8), ("Qwen/Qwen3-14B", 53.2), ("Qwen/Qwen3-32B", 23.9),
     ("Qwen/Qwen3-30B-A3B", 168.9)],
)  # fmt: skip
def test_served_models_are_about_as_fast_as_published(name: str, tokens_per_s: float) -> None:
    """SGLang 0.5.8 on an RTX PRO 6000, one request, BF16: inside the stated range."""
    subject = from_config(SERVED[name])
    card = inventory(bandwidth=1792, capability="12.0")
    found = model.speed(
        subject, Workload(), card, estimated(subject, backend="sglang"), batching=True
    )
    assert found is not None
    assert (found.low or 0) <= tokens_per_s <= (found.high or 0)


def test_a_part_of_an_estimate_is_in_its_total() -> None:
    names = [field.name for field in fields(Parts)]
    assert Parts(**dict.fromkeys(names, 1)).total_bytes == len(names)


def test_prefill_slows_down_with_the_filled_context() -> None:
    """R9700 in ROCm: 4,688 tokens/s of Llama-2-7B at 0, 995 at 16,384 and 568 at 32,768."""
    layer = Layer(Attention.FULL, 32, 32, 128, 128, feed_forward=11008)
    base = shape()
    architecture = replace(base.architecture, layers=(layer,) * 32, hidden=4096)
    subject = replace(base, architecture=architecture, weights=Weights(3_825_000_000, "exact",
                                                                       6_740_000_000))  # fmt: skip
    here = inventory(bandwidth=640, vendor="amd", capability=None, tflops=191.4)
    rates = []
    for tokens in (512, 32768, 65536):
        found = model.speed(subject, Workload(), here, estimated(subject, context=tokens))
        assert found is not None
        rates.append(found.prefill_tokens_per_s or 0)
    assert rates[1] == pytest.approx(995, rel=0.2)
    assert rates[2] == pytest.approx(568, rel=0.2)
    assert rates[0] > 3 * rates[1]


@pytest.mark.parametrize(("count", "microseconds"), [(2, 14), (4, 42), (8, 98)])
def test_a_ring_over_pcie_takes_a_step_more_for_every_card(count: int, microseconds: int) -> None:
    architecture = shape().architecture
    seconds = model._all_reduce_s(architecture, inventory(count), count)
    assert seconds == pytest.approx(2 * len(architecture.layers) * microseconds * 1e-6)
    module = replace(inventory(count, capability="9.0"))
    assert model._all_reduce_s(architecture, module, count) == pytest.approx(
        2 * len(architecture.layers) * 12e-6
    )


@pytest.mark.parametrize(("tokens", "speedup"), [(512, 1.0), (4096, 1.49), (65536, 2.48)])
def test_cards_that_work_in_turn_overlap_on_the_batches_of_a_prompt(
    tokens: int, speedup: float
) -> None:
    def rate(count: int, vendor: str = "nvidia") -> float:
        subject = shape()
        here = inventory(count, vendor=vendor)
        found = model.speed(subject, Workload(), here, estimated(subject, count, context=tokens))
        assert found is not None and found.prefill_tokens_per_s
        return found.prefill_tokens_per_s

    assert rate(4) / rate(1) == pytest.approx(speedup, rel=0.01)
    assert rate(4, "amd") == pytest.approx(rate(1, "amd"), rel=0.01)


def test_bf16_experts_on_a_radeon_may_run_without_kernels_for_them() -> None:
    """Strix Halo: 10 tokens/s in Vulkan where ROCm reaches 24."""
    sparse = Experts(total=64, active=4, width=1024, shared=0, shared_width=0, gated=True)

    def reach(subject: ModelShape) -> float:
        here = inventory(bandwidth=640, vendor="amd", capability=None)
        found = model.speed(subject, Workload(), here, estimated(subject))
        assert found is not None and found.low and found.decode_tokens_per_s
        return found.decode_tokens_per_s / found.low

    assert reach(shape(16, sparse)) > 2.6 > reach(shape(16))
    assert reach(shape(8.5, sparse)) == pytest.approx(reach(shape(16)), rel=0.01)
