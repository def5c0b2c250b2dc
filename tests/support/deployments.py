"""Deployments and plans to build tests on: complete, and changed where a test says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.core.estimate import Estimate, Parts
from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan

LAUNCH = LocalLaunch(
    engine="llama.cpp", argv=("x", "ü"), embedded=True, env={}, secrets={}, host="127.0.0.1",
    port=41000, served_model="m", task="chat",
)  # fmt: skip


def make(name: str, **changes: object) -> Deployment:
    base = Deployment(
        name=name, model="lab/model", target="local", backend="llama.cpp", quantization="Q4_K_M",
        state=State.RUNNING, endpoint="http://127.0.0.1:41000", context_tokens=8192, gpus=(0, 2),
        created_at="2026-01-01T00:00:00.000Z", updated_at="2026-01-01T00:00:00.000Z",
        plan=plan(files=("a.gguf",), estimate=replace(ESTIMATE, total_bytes=1)), launch=LAUNCH,
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


ESTIMATE = Estimate(
    model="m", backend="llama.cpp", backend_version=None, quantization="F16", context_tokens=1024,
    parallel=2, tensor_parallel=1, parts=Parts(), total_bytes=0, per_gpu=(), kv_bytes_per_token=0,
    kv_capacity_tokens=None, max_concurrency=None, basis="computed", margin_bytes=0,
)  # fmt: skip


def plan(**changes: Any) -> Plan:
    values: dict[str, Any] = {
        "model": "m", "quantization": "F16", "backend": "llama.cpp", "backend_version": None,
        "source": "local_path", "repo": "/m.gguf", "files": (), "gpus": (), "tensor_parallel": 1,
        "pipeline_parallel": 1, "context_tokens": 1024, "parallel": 2, "parameters": (),
        "env": {}, "estimate": ESTIMATE, "reasons": (),
    }  # fmt: skip
    return Plan(**{**values, **changes})
