"""What llama.cpp's log says: memory and reasons. The texts were printed by xllamacpp 2026.10."""

from __future__ import annotations

import pytest

from modelscan.core.units import MIB
from modelscan.engines.llamacpp.failures import failure
from modelscan.engines.llamacpp.log import measured

LOADED = """\
0.00.005.939 I load_tensors:   CPU_Mapped model buffer size =   260.09 MiB
0.00.006.183 I llama_context:        CPU  output buffer size =     0.49 MiB
0.00.006.269 I llama_kv_cache:        CPU KV buffer size =    96.00 MiB
0.00.007.204 I sched_reserve:        CPU compute buffer size =    30.52 MiB
"""


def mib(value: float) -> int:
    return round(value * MIB)


def test_parts_and_total() -> None:
    found = measured(LOADED)
    assert found is not None
    assert found["parts"] == {
        "weights_bytes": mib(260.09), "kv_cache_bytes": mib(96), "recurrent_state_bytes": 0,
        "compute_bytes": mib(30.52), "output_bytes": mib(0.49),
    }  # fmt: skip
    assert found["total_bytes"] == sum(found["parts"].values())
    assert found["devices"]["CPU_Mapped"]["weights_bytes"] == mib(260.09)
    assert found["devices"]["CPU"]["weights_bytes"] == 0


def test_two_caches_add_up_and_the_last_compute_buffer_counts() -> None:
    log = """\
llama_kv_cache_iswa: creating non-SWA KV cache, size = 4096 cells
load_tensors:        CUDA0 model buffer size =  4000.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =    20.50 MiB
llama_memory_recurrent:        CPU RS buffer size =     1.25 MiB
sched_reserve:      CUDA0 compute buffer size =   500.00 MiB
sched_reserve:      CUDA0 compute buffer size =   304.00 MiB
sched_reserve:  CUDA_Host compute buffer size =    10.00 MiB
"""
    found = measured(log)
    assert found is not None
    assert found["devices"]["CUDA0"]["kv_cache_bytes"] == mib(120.5)
    assert found["devices"]["CUDA0"]["compute_bytes"] == mib(304)
    assert found["parts"]["compute_bytes"] == mib(314)
    assert found["parts"]["recurrent_state_bytes"] == mib(1.25)
    assert found["total_bytes"] == mib(4000 + 120.5 + 1.25 + 314)


def test_a_log_without_buffers_measures_nothing() -> None:
    assert measured("srv  init: listening on http://127.0.0.1:41999\n") is None


MISSING = """\
0.00.061.294 W srv          init: security: no API key is set and CORS allows all origins
0.00.062.720 E gguf_init_from_file: failed to open GGUF file '/nonexist' (No such file or directory)
0.00.062.790 E llama_model_load: error loading model: failed to load model from /nonexist
0.00.064.169 E srv          init: exiting due to model loading error
"""
BUSY = """\
0.00.060.345 E srv         start: couldn't bind HTTP server socket, hostname: 127.0.0.1, port: 4
0.00.060.425 E srv          init: exiting due to HTTP server error
"""


def test_the_first_error_is_the_reason() -> None:
    found = failure(MISSING)
    assert found is not None
    assert found.reason.startswith("gguf_init_from_file: failed to open GGUF file '/nonexist'")
    assert found.hint is not None
    assert "file still exists" in found.hint
    assert not found.port_taken


def test_a_taken_port_is_recognised() -> None:
    found = failure(BUSY)
    assert found is not None
    assert found.port_taken


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("E alloc_tensor_range: failed to allocate CUDA0 buffer of size 8589934592", "--context"),
        ("E llama_model_load: error loading model: unknown model architecture: 'x'", "xllamacpp"),
        ("E gguf_init_from_reader: invalid magic characters: 'XXXX'", "download"),
    ],
)
def test_reasons_come_with_advice(line: str, advice: str) -> None:
    found = failure(f"0.00.000.001 {line}\n")
    assert found is not None
    assert found.hint is not None
    assert advice in found.hint


def test_an_abort_is_a_reason_and_silence_is_none() -> None:
    found = failure("/src/ggml.c:123: GGML_ASSERT(x != NULL) failed\n")
    assert found is not None
    assert "GGML_ASSERT" in found.reason
    assert failure("0.00.1 I all is well\n") is None
