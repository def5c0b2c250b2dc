"""LaunchSettings options of every engine, and reading them back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.planner_cases import DENSE_8B, RTX_4090, decide, machine, subject

from modelscan.core.gpu import Gpu
from modelscan.core.workload import Workload
from modelscan.engines.flags import LaunchSettings, environment, options, parse, render, workload_of


def words(launch: LaunchSettings, workload: Workload | None = None) -> str:
    return " ".join(render(options(launch, workload or Workload())))


def test_llamacpp_context_is_the_product_unless_unified() -> None:
    launch = LaunchSettings("llama.cpp", "chat", 8192, 4, gpu_count=1)
    assert words(launch) == "--ctx-size 32768 --parallel 4 --n-gpu-layers all"
    unified = words(launch, Workload(parameters=(("kv-unified", None),)))
    assert unified.startswith("--ctx-size 8192 --parallel 4")
    assert unified.endswith("--kv-unified")


def test_llamacpp_offload_cache_types_and_tasks() -> None:
    partly = LaunchSettings("llama.cpp", "chat", 4096, 1, gpu_count=1, gpu_layers=20)
    assert "--n-gpu-layers 20" in words(partly)
    experts = LaunchSettings("llama.cpp", "chat", 4096, 1, gpu_count=1, cpu_experts=30)
    assert "--n-gpu-layers all --n-cpu-moe 30" in words(experts)
    cached = words(partly, Workload(kv_cache_k="q8_0", kv_cache_v="q4_0", flash_attention="on"))
    assert "--cache-type-k q8_0 --cache-type-v q4_0 --flash-attn on" in cached
    embedding = LaunchSettings("llama.cpp", "embedding", 512, 1, pooling="mean")
    assert words(embedding).endswith("--n-gpu-layers 0 --embedding --pooling mean")
    assert words(LaunchSettings("llama.cpp", "rerank", 512, 1)).endswith("--reranking")


def test_vllm_and_sglang_spell_the_same_wishes_differently() -> None:
    wish = Workload(kv_cache_k="fp8")
    vllm = LaunchSettings("vllm", "chat", 32768, 8, 2, memory_utilization=0.85, dtype="half")
    assert words(vllm, wish) == (
        "--max-model-len 32768 --gpu-memory-utilization 0.85 --tensor-parallel-size 2 "
        "--max-num-seqs 8 --kv-cache-dtype fp8 --dtype half"
    )
    sglang = LaunchSettings("sglang", "chat", 32768, 8, 2, memory_utilization=0.85)
    assert words(sglang, wish) == (
        "--context-length 32768 --mem-fraction-static 0.85 --tp-size 2 "
        "--max-running-requests 8 --kv-cache-dtype fp8_e5m2"
    )


@pytest.mark.parametrize(
    ("version", "task", "flag"),
    [
        (None, "embedding", "--runner pooling"), ("0.32.0", "rerank", "--runner pooling"),
        ("0.8.5", "embedding", "--task embed"), ("v0.9.2", "rerank", "--task score"),
    ],
)  # fmt: skip
def test_vllm_pooling_by_version(version: str | None, task: str, flag: str) -> None:
    launch = LaunchSettings("vllm", task, 8192, None)
    assert words(launch, Workload(backend_version=version)).endswith(flag)


def test_the_users_own_option_wins() -> None:
    wish = Workload(parameters=(("max_num_seqs", "64"), ("enforce-eager", None)))
    text = words(LaunchSettings("vllm", "chat", 4096, 8), wish)
    assert text == "--max-model-len 4096 --max_num_seqs 64 --enforce-eager"


def gpu(index: int, vendor: str = "nvidia", **changes: str) -> Gpu:
    return Gpu(index, "card", vendor, 24 << 30, 23 << 30, "simulated", **changes)  # type: ignore[arg-type]


def test_environment_hides_the_other_devices() -> None:
    launch = LaunchSettings("llama.cpp", "chat", 4096, 1, gpu_count=1)
    assert environment(launch, Workload(), (gpu(1),), False) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "1",
    }
    assert environment(launch, Workload(), (gpu(0), gpu(1)), True) == {}
    assert environment(launch, Workload(), (gpu(2, "amd"),), False) == {"HIP_VISIBLE_DEVICES": "2"}
    mig = gpu(0, mig="1g.10gb", uuid="MIG-1234")
    assert environment(launch, Workload(), (mig,), True)["CUDA_VISIBLE_DEVICES"] == "MIG-1234"
    ollama = LaunchSettings("ollama", "chat", 4096, 2)
    env = environment(ollama, Workload(kv_cache_k="q8_0", flash_attention="on"), (), True)
    assert env == {
        "OLLAMA_NUM_PARALLEL": "2",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "OLLAMA_FLASH_ATTENTION": "1",
    }


NAMES = st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", fullmatch=True)
VALUES = st.one_of(st.none(), st.from_regex(r"[A-Za-z0-9_.,/]+", fullmatch=True))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_rendered_options_parse_back(chosen: list[tuple[str, str | None]]) -> None:
    assert parse(render(tuple(chosen))) == tuple(chosen)


def test_parse_understands_equals() -> None:
    assert parse(["--max-model-len=8192", "--trust"]) == (
        ("max-model-len", "8192"),
        ("trust", None),
    )


def test_ollamas_variables_are_part_of_what_a_plan_means() -> None:
    wanted = Workload(backend="ollama", kv_cache_k="q8_0", kv_cache_v="q8_0", flash_attention="on")
    plan = decide(subject(DENSE_8B, ("Q8_0",)), machine(RTX_4090), wanted).plan
    assert plan is not None
    meant = workload_of(plan)
    assert (meant.kv_cache_k, meant.kv_cache_v, meant.flash_attention) == ("q8_0", "q8_0", "on")
