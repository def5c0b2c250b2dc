"""Every engine option that may move memory is modelled or named."""

from __future__ import annotations

import pytest

from modelscan.core.gpu import Gpu, Host, Inventory
from modelscan.core.units import GIB
from modelscan.core.workload import Backend, Workload
from modelscan.engines.estimate import estimate
from modelscan.engines.registry import engine, engines
from modelscan.engines.unmodelled import unmodelled
from modelscan.memory.shape import from_config

CONFIG = {
    "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
    "max_position_embeddings": 40960, "torch_dtype": "bfloat16", "hidden_act": "silu",
}  # fmt: skip
CARD = Inventory(
    (Gpu(0, "NVIDIA H100", "nvidia", 80 * GIB, 79 * GIB, "simulated"),), Host(8, 64 * GIB, 60 * GIB),
    source="simulated",
)  # fmt: skip


def named(backend: Backend, *options: str) -> tuple[str, ...]:
    pairs = (text.partition("=") for text in options)
    parameters = tuple((name, value if equals else None) for name, equals, value in pairs)
    return unmodelled(engine(backend), Workload(parameters=parameters))


@pytest.mark.parametrize(
    ("backend", "option"),
    [("vllm", "data-parallel-size=2"), ("vllm", "quantization=fp8"), ("vllm", "kv-offloading-size=8"),
     ("vllm", "enable-sleep-mode"), ("vllm", "an-option-of-2027=1"),
     ("vllm", "kv-cache-dtype=turboquant_4bit_nc"),
     ("vllm", 'speculative-config={"method":"eagle3","model":"x"}'), ("vllm", "compilation-config=3"),
     ("vllm", 'compilation-config={"cudagraph_mode":"FULL"}'), ("vllm", "log-cache-size=4"),
     ("sglang", "dp-size=2"), ("sglang", "attention-backend=triton"), ("sglang", "hicache-size=10"),
     ("sglang", "speculative-algorithm=EAGLE3"), ("llama.cpp", "ctx-checkpoints=8"),
     ("llama.cpp", "sm=row"), ("ollama", "num-batches=3")],
)  # fmt: skip
def test_what_may_move_memory_is_named(backend: Backend, option: str):
    assert named(backend, option) == (option.partition("=")[0],)


@pytest.mark.parametrize(
    ("backend", "option"),
    [("vllm", "enable-auto-tool-choice"), ("vllm", "tool_call_parser=hermes"), ("vllm", "seed=1"),
     ("vllm", "ssl-keyfile=k"), ("vllm", "kv-cache-dtype=fp8"), ("vllm", "max-num-seqs=8"), ("vllm", "trust-remote-code"),
     ("vllm", 'speculative-config={"method":"deepseek_mtp","num_speculative_tokens":1}'),
     ("vllm", 'compilation-config={"cudagraph_mode":"NONE"}'), ("sglang", "disable-radix-cache"),
     ("sglang", "reasoning-parser=qwen3"), ("llama.cpp", "ot=exps=CPU"), ("llama.cpp", "sm=layer"),
     ("llama.cpp", "temp=0.6"), ("llama.cpp", "no-such-option"), ("ollama", "num-ctx=8192")],
)  # fmt: skip
def test_what_is_modelled_or_moves_nothing_is_not(backend: Backend, option: str):
    assert named(backend, option) == ()


def test_the_warning_stands_in_the_estimate():
    shape = from_config(CONFIG)
    workload = Workload(parameters=(("data-parallel-size", "2"),))
    result = estimate(shape, workload, CARD, model="m", backend="vllm")
    assert [w for w in result.warnings if "--data-parallel-size" in w and "vLLM" in w]


def test_an_option_is_not_both_modelled_and_harmless():
    for one in engines():
        assert not one.option_names.all & one.harmless


def graphs(**options: str) -> int:
    parameters = tuple((name.replace("_", "-"), value) for name, value in options.items())
    result = estimate(
        from_config(CONFIG), Workload(parameters=parameters), CARD, model="m", backend="vllm"
    )
    return result.parts.cuda_graph_bytes


def test_the_sizes_of_cuda_graphs_can_be_listed():
    assert graphs() > graphs(cudagraph_capture_sizes="1,2,4,8") > 0
    assert graphs(cudagraph_capture_sizes="1 2 4 8") == graphs(
        compilation_config='{"cudagraph_capture_sizes": [1, 2, 4, 8]}'
    )
    assert graphs(compilation_config='{"cudagraph_mode": "NONE"}') == 0
    assert graphs(cuda_graph_sizes="64") == graphs(max_cudagraph_capture_size="64")


def test_swap_space_is_host_memory_of_the_first_engine_only():
    def host(version: str) -> int:
        workload = Workload(parameters=(("swap-space", "8"),), backend_version=version)
        result = estimate(from_config(CONFIG), workload, CARD, model="m", backend="vllm")
        return result.host.total_bytes if result.host else 0

    assert host("0.6.3") == 8 * GIB
    assert host("0.20.0") == 0
