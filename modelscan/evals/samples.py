"""A report as a benchmark sample: what scoring and leaderboards of other programs read."""

from __future__ import annotations

from typing import Any

from modelscan.evals.report import EvalReport
from modelscan.evals.statistics import mean

_RIGHT = 1.0


def sample_report(report: EvalReport) -> dict[str, Any] | None:
    """A benchmark report with one sample, in the shape of ``bench run``; None unless valid.

    ``workload`` is the suite, ``pass_rate`` the share of solved tasks, ``quality_score`` the main
    score. Times are of whole tasks: how long
    the first token of a suite's prompts takes says little about other prompts.
    """
    score = report.main_score
    if report.status != "valid" or score is None:
        return None
    values = list(report.values().values())
    seconds = sorted(task.seconds for task in report.tasks if task.seconds is not None)
    results = {
        "case_count": len(values),
        "pass_rate": mean([float(value >= _RIGHT) for value in values]),
        "response_rate": 1.0,
        "p50_latency_ms": round(1000 * seconds[len(seconds) // 2]) if seconds else None,
        "ttft_ms": None,
        "tokens_per_sec": report.tokens_per_s,
        "prompt_tokens": _per_task(report.usage.prompt_tokens, len(report.tasks)),
        "completion_tokens": _per_task(report.usage.completion_tokens, len(report.tasks)),
        "quality_score": score.value,
        "suite_hash": report.suite.hash,
    }
    sample = {
        "service_id": service_of(report),
        "asset_id": report.receipt.model or report.receipt.served_model,
        "workload": report.suite.name,
        "observed_at": report.finished_at,
        "benchmark_id": report.eval_id,
        "results": results,
    }
    return {
        "report_id": report.eval_id,
        "observed_at": report.finished_at,
        "source": "modelscan eval",
        "samples": [sample],
    }


def service_of(report: EvalReport) -> str:
    """The name of the service: the route, or the model of URL#MODEL."""
    return report.receipt.route.rpartition("#")[2] or report.receipt.route


def _per_task(tokens: int | None, tasks: int) -> int | None:
    return round(tokens / tasks) if tokens is not None and tasks else None
