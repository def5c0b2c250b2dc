"""Start-up logs read into bytes. The lines have the shape of each version's; numbers are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelscan.core.units import GIB, MIB
from modelscan.engines.llamacpp import log as llamacpp_log
from modelscan.engines.log_fields import LogFigures
from modelscan.engines.registry import engine
from modelscan.engines.sglang import log as sglang_log
from modelscan.engines.vllm import log as vllm_log

VLLM_NEW = """
INFO 11-02 [gpu_model_runner.py:4821] Model loading took 7.62 GiB memory and 41.250000 seconds
DEBUG 11-02 [gpu_worker.py:402] Memory profiling takes 11.08 seconds. Total non KV cache memory: \
10.02GiB; torch peak memory increase: 2.13GiB; non-torch forward increase memory: 0.27GiB; \
weights memory: 7.62GiB.
INFO 11-02 [gpu_model_runner.py:5620] Estimated CUDA graph memory: 0.78 GiB total
INFO 11-02 [gpu_worker.py:436] Available KV cache memory: 31.44 GiB
INFO 11-02 [kv_cache_utils.py:1316] GPU KV cache size: 228,944 tokens
INFO 11-02 [kv_cache_utils.py:1321] Maximum concurrency for 16,384 tokens per request: 13.97x
INFO 11-02 [gpu_model_runner.py:5800] Graph capturing finished in 9 secs, took 0.81 GiB
"""

VLLM_OLD = """
INFO 12-10 model_runner.py:1077] Loading model weights took 14.9900 GB
INFO 12-10 worker.py:241] model weights take 14.99GiB; non_torch_memory takes 0.36GiB; PyTorch \
activation peak memory takes 1.21GiB; the rest of the memory reserved for KV Cache is 4.50GiB.
INFO 12-10 distributed_gpu_executor.py:57] # GPU blocks: 2304, # CPU blocks: 2048
INFO 12-10 distributed_gpu_executor.py:61] Maximum concurrency for 8192 tokens per request: 4.50x
"""

SGLANG = """
[2026-01-01] Load weight begin. avail mem=23.10 GB
[2026-01-01] Load weight end. elapsed=8.2 s, type=LlamaForCausalLM, avail mem=15.02 GB, \
mem usage=8.08 GB.
[2026-01-01] Mamba Cache is allocated. max_mamba_cache_size: 40, conv_state size: 0.10GB, \
ssm_state size: 2.50GB
[2026-01-01] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 61440, KV size: 7.50 GB, \
avail mem=3.90 GB
[2026-01-01] Capture decode CUDA graph end. elapsed=4.1, mem usage=0.35 GB, avail mem=3.55 GB.
[2026-01-01] max_total_num_tokens=61440, chunked_prefill_size=2048, context_len=8192
"""

LLAMACPP = """
load_tensors:        CUDA0 model buffer size =  4403.50 MiB
load_tensors:   CPU_Mapped model buffer size =   281.75 MiB
llama_kv_cache:      CUDA0 KV buffer size =  1024.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =    62.75 MiB
sched_reserve:      CUDA0 compute buffer size =   258.50 MiB
sched_reserve:  CUDA_Host compute buffer size =    24.00 MiB
llama_context:  CUDA_Host  output buffer size =     0.50 MiB
llama_context: n_ctx         = 8192
"""


def test_a_new_vllm_log() -> None:
    assert engine("vllm").parse_log(VLLM_NEW) == LogFigures(
        weights_bytes=round(7.62 * GIB),
        kv_pool_bytes=round(31.44 * GIB),
        kv_tokens=228944,
        max_concurrency=13.97,
        context_tokens=16384,
        compute_bytes=round(2.13 * GIB),
        non_torch_bytes=round(0.27 * GIB),
        cuda_graph_bytes=round(0.81 * GIB),
    )


def test_an_old_vllm_log_says_gb_and_blocks() -> None:
    found = vllm_log.parse(VLLM_OLD)
    assert found.weights_bytes == round(14.99 * GIB)
    assert found.kv_tokens == 2304 * 16
    assert found.kv_pool_bytes == round(4.5 * GIB)
    assert found.compute_bytes == round(1.21 * GIB)
    assert found.non_torch_bytes == round(0.36 * GIB)


def test_the_summary_line_of_vllm() -> None:
    line = (
        "Actual usage is 7.62 GiB for weight, 2.10 GiB for peak activation, 0.30 GiB for "
        "non-torch memory, and 0.81 GiB for CUDAGraph memory."
    )
    found = vllm_log.parse(line)
    assert found.compute_bytes == round(2.1 * GIB)
    assert found.non_torch_bytes == round(0.3 * GIB)


def test_of_several_ranks_the_scarcest_pool_counts() -> None:
    lines = "".join(
        f"(Worker_TP{rank}) INFO Available KV cache memory: {size} GiB\n"
        for rank, size in enumerate((30.5, 29.75))
    )
    assert vllm_log.parse(lines).kv_pool_bytes == round(29.75 * GIB)


def test_the_cpu_build_prints_its_own_word() -> None:
    assert vllm_log.parse("CPU KV cache size: 9,344 tokens").kv_tokens == 9344


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: No available memory for the cache blocks. Try increasing "
        "`gpu_memory_utilization` when initializing the engine.",
        "ValueError: To serve at least one request with the models's max seq len (131072), "
        "(16.00 GiB KV cache is needed, which is larger than the available KV cache memory "
        "(4.10 GiB).",
        "ValueError: Free memory on device (9.1/23.6 GiB) on startup is less than desired GPU "
        "memory utilization (0.92, 21.7 GiB).",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    ],
)
def test_a_start_that_failed_for_memory(line: str) -> None:
    found = vllm_log.parse(f"INFO starting\n  {line}\nTraceback ends")
    assert found.failure == line


def test_an_sglang_log() -> None:
    found = engine("sglang").parse_log(SGLANG)
    assert found.weights_bytes == round(8.08 * GIB)
    assert found.kv_pool_bytes == round(7.5 * GIB)
    assert found.kv_tokens == 61440
    assert found.context_tokens == 8192
    assert found.recurrent_state_bytes == round(2.6 * GIB)
    assert found.cuda_graph_bytes == round(0.35 * GIB)


def test_an_older_sglang_splits_keys_and_values() -> None:
    text = "KV Cache is allocated. #tokens: 104273, K size: 5.57 GB, V size: 5.57 GB"
    found = sglang_log.parse(text)
    assert found.kv_pool_bytes == round(11.14 * GIB)
    assert found.kv_tokens == 104273
    refused = "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."
    assert sglang_log.parse(refused).failure == refused


def test_a_llamacpp_log_sums_devices_and_lists_them() -> None:
    found = engine("llama.cpp").parse_log(LLAMACPP)
    assert found.weights_bytes == round(4685.25 * MIB)
    assert found.kv_pool_bytes == 1024 * MIB
    assert found.recurrent_state_bytes == round(62.75 * MIB)
    assert found.compute_bytes == round(282.5 * MIB)
    assert found.output_bytes == MIB // 2
    assert found.kv_tokens == 8192
    devices = llamacpp_log.parse_devices(LLAMACPP)
    assert set(devices) == {"CUDA0", "CPU_Mapped", "CUDA_Host"}
    assert devices["CUDA0"].compute_bytes == round(258.5 * MIB)
    assert devices["CUDA_Host"].output_bytes == MIB // 2
    assert devices["CPU_Mapped"].kv_pool_bytes is None


def test_older_prefixes_are_read_too() -> None:
    old = (
        "llm_load_tensors:      CUDA0 buffer size = 4403.49 MiB\n"
        "llama_kv_cache_init:      CUDA0 KV buffer size =   512.00 MiB\n"
        "llama_new_context_with_model:      CUDA0 compute buffer size =   560.00 MiB\n"
    )
    found = llamacpp_log.parse(old)
    assert found.weights_bytes == round(4403.49 * MIB)
    assert found.kv_pool_bytes == 512 * MIB
    assert found.compute_bytes == 560 * MIB


def test_nothing_recognised_is_empty() -> None:
    for backend in ("vllm", "sglang", "llama.cpp", "ollama"):
        assert engine(backend).parse_log("server listening on http://127.0.0.1:8080\n").empty


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for backend in ("vllm", "sglang", "llama.cpp"):
        engine(backend).parse_log(text)
    llamacpp_log.parse_devices(text)
