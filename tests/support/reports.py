"""Reports of ``bench run`` and ``eval run`` as JSON, from the types that write them."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from modelscan.bench.distribution import Distribution
from modelscan.bench.report import (
    BenchPoint,
    BenchReceipt,
    BenchReport,
    BenchWorkloadRun,
    ErrorCounts,
)
from modelscan.core.envelope import envelope
from modelscan.evals.report import (
    EvalReceipt,
    EvalReport,
    EvalUsage,
    GenerationSettings,
    MetricScore,
    SuiteShown,
    ToolPolicy,
)
from modelscan.state.clock import text_of


def eval_report(
    name: str, accuracy: float, *, suite: str = "coding", sha256: str | None = None,
    after_s: float = 0.0, hardware: str = "CPU",
) -> dict[str, Any]:  # fmt: skip
    """A valid run with one score, measured ``after_s`` seconds from now."""
    at = text_of(time.time() + after_s)
    receipt = EvalReceipt(
        route="coder", endpoint="http://127.0.0.1:1", requested_model="coder", served_model="m",
        provider="local", engine=None, model=None, revision=None, sha256=sha256, quantization=None,
        context_tokens=4096, parallel=1, memory_bytes=None, thinking="off", hardware=hardware,
        host_load=None, foreign_requests=None, system_prompt_sha256="0" * 64,
        generation=GenerationSettings(0.0, 7, None, None), epochs=1, tool_policy=ToolPolicy(),
        sandbox=None, packages={}, started_at=at,
    )  # fmt: skip
    report = EvalReport(
        eval_id=name, suite=SuiteShown(suite, "1", "hash", 10), receipt=receipt, status="valid",
        reason=None, scores=(MetricScore("accuracy", accuracy, None, 10),), tasks=(),
        usage=EvalUsage(None, None), cost_usd=None, tokens_per_s=30.0, finished_at=at,
        log_path=None,
    )  # fmt: skip
    return envelope("eval.run", report)


def bench_report(
    name: str, ttft_p95_s: Mapping[int, float], *, sha256: str | None = None,
    hardware: str = "CPU", after_s: float = 0.0,
) -> dict[str, Any]:  # fmt: skip
    """A run of the workload ``shape`` with a time to first token (p95) per requests at once."""
    at = text_of(time.time() + after_s)
    receipt = BenchReceipt("coder", "http://127.0.0.1:1", "coder", sha256=sha256, hardware=hardware)
    workload = BenchWorkloadRun("shape", 1, "hash", 128, 32, False, 7, 0.0, 10, "disabled")
    points = tuple(_point(load, p95) for load, p95 in ttft_p95_s.items())
    report = BenchReport(name, at, "modelscan", receipt, workload, points, (), ())
    return envelope("bench.run", report)


def _point(load: int, p95: float) -> BenchPoint:
    none = {one.name: None for one in dataclasses.fields(BenchPoint)}
    for key in ("ttfo_s", "tpot_s", "chunk_gap_s", "e2e_s", "queue_s"):
        none[key] = Distribution()  # type: ignore[assignment]
    own: dict[str, Any] = {
        "concurrency": load, "repeats": 1, "requests": 40, "errors": ErrorCounts(),
        "ttft_s": Distribution(mean=p95, p50=p95, p95=p95, n=40), "token_source": "usage",
        "client_limited": False, "decode_tokens_per_s": 30.0,
    }  # fmt: skip
    return BenchPoint(**{**none, **own})
