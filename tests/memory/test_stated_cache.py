"""A checkpoint that states its cache type: what ``auto`` means for it."""

from __future__ import annotations

from typing import Any

import pytest

from modelscan.core.workload import Workload
from modelscan.engines.estimate import estimate
from modelscan.memory.shape import from_config
from tests.memory.test_architecture import config

FLOAT8 = {"type": "float", "num_bits": 8, "dynamic": False}
PLAIN = 8 * 2 * 4 * 64 * 2  # layers x (keys, values) x heads x size x two bytes


def per_token(
    quantization_config: dict[str, Any] | None = None, hf: dict[str, Any] | None = None,
    backend: str = "vllm", version: str | None = None, parameters: tuple[tuple[str, str], ...] = (),
    **asked: Any,
) -> int:  # fmt: skip
    fields = config(torch_dtype="bfloat16")
    if quantization_config:
        fields["quantization_config"] = quantization_config
    shape = from_config(fields, hf_quant_config=hf, **asked)
    workload = Workload(context_tokens=4096, backend_version=version, parameters=parameters)
    return estimate(shape, workload, None, model="m", backend=backend).kv_bytes_per_token


COMPRESSED = {"quant_method": "compressed-tensors", "format": "float-quantized",
              "kv_cache_scheme": FLOAT8}  # fmt: skip
MODELOPT = {"quant_method": "modelopt", "quant_algo": "FP8"}
HF = {"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}}


@pytest.mark.parametrize(
    ("found", "factor"),
    [
        (per_token(), 1.0),
        (per_token({**MODELOPT, "kv_cache_scheme": {**FLOAT8, "num_bits": 4}}), 9 / 32),  # NVFP4
        (per_token({**COMPRESSED, "kv_cache_scheme": {**FLOAT8, "num_bits": 4}}), 1.0),
        (per_token(COMPRESSED), 0.5),
        (per_token(COMPRESSED | {"kv_cache_scheme": None}), 1.0),
        (per_token(MODELOPT | {"kv_cache_quant_algo": "FP8"}), 0.5),
        (per_token(MODELOPT | {"kv_cache_scheme": FLOAT8}), 0.5),
        (per_token(MODELOPT | {"kv_cache_quant_algo": None}), 1.0),
        (per_token(hf=HF), 0.5),
        (per_token(hf={"quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"}}),
         0.28125),
        (per_token(COMPRESSED, version="0.12.0"), 1.0),
        (per_token(COMPRESSED, version="0.13.0"), 0.5),
        (per_token(COMPRESSED, parameters=(("kv-cache-dtype", "bfloat16"),)), 1.0),
        (per_token(COMPRESSED, backend="sglang"), 1.0),
        (per_token(MODELOPT | {"kv_cache_quant_algo": "FP8"}, backend="sglang"), 0.5),
        (per_token(MODELOPT | {"kv_cache_quant_algo": "FP8"}, quantization="awq"), 1.0),
    ],
)  # fmt: skip
def test_what_auto_means(found, factor):
    assert found == PLAIN * factor
