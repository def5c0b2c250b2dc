"""Why an engine did not start: lines of real failed starts (vLLM 0.32.0, CPU build, recorded here)
and, for what needs a GPU, the wordings that the engines' versions use, written anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelscan.core.end_cause import EndCause
from modelscan.core.remedy import Remedy
from modelscan.core.workload import Workload
from modelscan.deploy.command_text import command
from modelscan.deploy.retry import next_request
from modelscan.engines.base import EngineFailure
from modelscan.engines.failure_rules import clean
from modelscan.engines.registry import engine
from modelscan.targets.base import StartFailed
from modelscan.targets.request import Request


def recognise(backend: str, log: str) -> EngineFailure | None:
    return engine(backend).failure(log)


# Recorded: the telling lines, with what stood around them.
RECORDED = {
    "option": """\
usage: api_server.py [-h] [--headless] [--api-server-count API_SERVER_COUNT]
                     [--trust-remote-code | --no-trust-remote-code]
api_server.py: error: unrecognized arguments: --task
""",
    "context": """\
(APIServer pid=3785) WARNING 11-20 06:22:59 [system_utils.py:255] Found ulimit of 20000
Traceback (most recent call last):
  File "/x/api_server.py", line 24, in <module>
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, User-specified max_model_len (99999) is greater than the derived max_model_len (max_position_embeddings=2048.0 or model_max_length=None in model's config.json). To allow overriding this maximum, set the env var VLLM_ALLOW_LONG_MAX_MODEL_LEN=1.
""",
    "architecture": """\
  Value error, Model architectures ['NobodyKnowsForCausalLM'] are not supported for now. Supported architectures: dict_keys(['AfmoeForCausalLM', 'ApertusForCausalLM'])
""",
    "quantization": """\
  Value error, Unknown quantization method: nobody_knows. Must be one of ['awq', 'auto_awq', 'fp8'].
""",
    "port": """\
  File "/x/uvicorn/config.py", line 604, in bind_socket
OSError: [Errno 98] Address already in use
""",
    "files": """\
(Worker pid=29381) ERROR 11-20 06:24:30 [multiproc_executor.py:870] safetensors._safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, file not fully covered
(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
""",
}


@pytest.mark.parametrize("kind", RECORDED)
def test_recorded_starts_of_vllm(kind: str) -> None:
    found = recognise("vllm", RECORDED[kind])
    assert found is not None
    assert found.kind == kind
    assert found.hint
    assert "Engine core" not in found.reason
    assert "pid=" not in found.reason
    assert found.port_taken is (kind == "port")


def test_the_reason_is_short_and_in_the_engines_words() -> None:
    found = recognise("vllm", RECORDED["architecture"])
    assert found is not None
    assert found.reason == (
        "Value error, Model architectures ['NobodyKnowsForCausalLM'] are not supported for now"
    )
    too_long = recognise("vllm", RECORDED["context"])
    assert too_long is not None
    assert too_long.remedy == Remedy(context_tokens=2048)


# (backend, line, kind, retry)
WORDINGS = [
    ("vllm", "ERROR 05-01 10:00:00 [core.py:390] torch.OutOfMemoryError: CUDA out of memory. Tried to "
     "allocate 2.00 GiB. GPU 0 has a total capacity of 23.58 GiB", "memory", ()),
    ("vllm", "ValueError: No available memory for the cache blocks. Try increasing "
     "`gpu_memory_utilization` when initializing the engine.", "memory", ()),
    ("vllm", "ValueError: Free memory on device cuda:0 (20.31/23.58 GiB) on startup is less than "
     "desired GPU memory utilization (0.92, 21.69 GiB).", "memory", ("--memory-utilization", "0.85")),
    ("vllm", "ValueError: To serve at least one request with the models's max seq len (40960), (5.62 "
     "GiB KV cache is needed, which is larger than the available KV cache memory (3.18 GiB). Based "
     "on the available memory, the estimated maximum model length is 23168.",
     "context", ("--context", "23040")),
    ("vllm", "ValueError: To serve at least one request with the model's max seq len (32768), (4.0 GiB "
     "KV cache is needed, which is larger than the available KV cache memory (1.0 GiB).",
     "context", ("--context", "8192")),
    ("vllm", "ValueError: The model's max seq len (29000) is larger than the maximum number of tokens "
     "that can be stored in KV cache (23648). Try increasing `gpu_memory_utilization`",
     "context", ("--context", "23552")),
    ("vllm", "ValueError: The quantization method fp8 is not supported for the current GPU. Minimum "
     "capability: 89. Current capability: 86.", "quantization", ()),
    ("vllm", "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.",
     "dtype", ("--param", "dtype=half")),
    ("vllm", "RuntimeError: Failed to infer device type", "driver", ()),
    ("vllm", "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
     "driver", ()),
    ("vllm", "ValueError: Total number of attention heads (40) must be divisible by tensor parallel "
     "size (3).", "split", ()),
    ("sglang", "[2026-02-01 10:00:00 TP0] Scheduler hit an exception: RuntimeError: Not enough memory. "
     "Please try to increase --mem-fraction-static.", "memory", ("--memory-utilization", "0.92")),
    ("sglang", "ValueError: The checkpoint you are trying to load has model type `newest` but "
     "Transformers does not recognize this architecture.", "architecture", ()),
    ("sglang", "RuntimeError: Not enough memory. Please try increasing --mem-fraction-static. Current "
     "value: mem_fraction_static=0.5", "memory", ("--memory-utilization", "0.92")),
    ("vllm", "OSError: [Errno 28] No space left on device: '/dev/shm/psm_1234'", "shared_memory", ()),
    ("vllm", "torch._inductor.exc.InductorError: RuntimeError: Failed to find C compiler. Please "
     "specify via CC environment variable", "package", ()),
    ("vllm", "torch.distributed.DistBackendError: NCCL error in: NCCLUtils.hpp:268, unhandled cuda "
     "error", "interconnect", ()),
    ("vllm", "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 803: system has "
     "unsupported display driver / cuda driver combination", "driver", ()),
    ("vllm", "ValueError: Weight output_partition_size = 576 is not divisible by weight quantization "
     "block_n = 128.", "split", ()),
    ("vllm", "ValueError: GGUF model with architecture qwen35 is not supported yet.", "architecture",
     ()),
    ("sglang", "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 30000): "
     "address already in use", "port", ()),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "line", "kind", "retry"), WORDINGS)
def test_wordings(backend: str, line: str, kind: str, retry: tuple[str, ...]) -> None:
    noise = "INFO 05-01 10:00:00 [loader.py:1] Loading weights took 1.2 seconds\n"
    found = recognise(
        backend, f"{noise}{line}\n{noise}RuntimeError: Engine process failed to start\n"
    )
    assert found is not None
    options = found.remedy.options() if found.remedy else ()
    assert (found.kind, options) == (kind, retry)


def test_an_unknown_exception_is_told_without_the_parents_echo() -> None:
    log = (
        "(EngineCore pid=7) ERROR 01-01 00:00:00 [core.py:1] KeyError: 'model.layers.3'\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    found = recognise("vllm", log)
    assert found is not None
    assert (found.reason, found.kind, found.hint) == ("KeyError: 'model.layers.3'", None, None)
    assert recognise("vllm", "INFO everything is well\n") is None


@given(st.text(max_size=400))
@settings(deadline=None, max_examples=200)
def test_any_text_is_read(text: str) -> None:
    found = recognise("vllm", text)
    assert found is None or len(found.reason) <= 300
    assert clean(clean(text)) == clean(text)


def failed(**change: Any) -> StartFailed:
    remedy = Remedy(**change) if change else None
    return StartFailed("no", cause=EndCause.OUT_OF_MEMORY, remedy=remedy)


def test_the_next_request_has_the_change_and_never_the_same_twice() -> None:
    request = Request("m", Workload(backend="vllm", context_tokens=40960), name="n")
    again = next_request(request, failed(context_tokens=23040))
    assert again is not None
    changed, options = again
    assert changed.workload.context_tokens == 23040
    assert changed.replace
    assert command(request, options) == "modelscan deploy m --backend vllm --name n --context 23040"
    wishes = Workload(quantization="FP8", parameters=(("enforce-eager", None),), force=True)
    assert command(Request("a b", wishes, port=9000), options) == (
        "modelscan deploy 'a b' --quantization FP8 --param enforce-eager --port 9000 --force "
        "--context 23040"
    )
    assert next_request(changed, failed(context_tokens=23040)) is None
    assert next_request(changed, failed(context_tokens=99999)) is None, "more than was asked for"
    assert next_request(changed, failed()) is None
    half = next_request(changed, failed(parameters=(("dtype", "half"),)))
    assert half is not None
    assert half[0].workload.parameters == (("dtype", "half"),)
    assert next_request(half[0], failed(parameters=(("dtype", "half"),))) is None


def test_a_remedy_is_typed_and_has_a_text() -> None:
    assert Remedy().options() == ()
    remedy = Remedy(context_tokens=8192, memory_utilization=0.85, parameters=(("dtype", "half"),))
    assert remedy.text() == (
        "deploy it with --context 8192 --memory-utilization 0.85 --param dtype=half"
    )
    assert Remedy(parameters=(("enforce-eager", None),)).options() == ("--param", "enforce-eager")
    found = recognise("vllm", RECORDED["context"])
    assert found is not None
    assert found.remedy == Remedy(context_tokens=2048)
