"""Which entry a result is about, and the comparison of two reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.routing_files import file_of, provider, role

from modelscan.bench.compare import compare
from modelscan.bench.matching import matcher
from modelscan.bench.point import BenchLoad, ClientUse, point
from modelscan.bench.report import BenchReceipt, BenchReport, BenchWorkloadRun
from modelscan.bench.report_reader import GivenSample
from modelscan.bench.stream import RequestResult
from modelscan.core.errors import UsageError
from modelscan.routing.world import World

FILE = file_of(
    provider("coder", model="qwen/qwen3-coder", deployment="coder-1"),
    provider("small", model="lab/small", served_model="small-q4"),
    provider("twin", model="lab/small"),
    aliases={"gpt-4o": "coder"},
    roles=[role("mentor"), role("only", providers=["coder"])],
)


def matched(service: str, asset: str | None = None) -> tuple[str | None, str | None]:
    sample = GivenSample("b", service, asset, "shape", 0.0, {})
    match = matcher(FILE, World())(sample)
    return match.service, match.reason


@pytest.mark.parametrize(
    ("service", "asset", "entry"),
    [
        ("coder", None, "coder"),
        ("coder-1", None, "coder"),  # its deployment
        ("gpt-4o", None, "coder"),
        ("qwen/qwen3-coder", None, "coder"),
        ("qwen3-coder", None, "coder"),
        ("small-q4", None, "small"),
        ("lab/small", "small-q4", "small"),
        ("only", None, "coder"),  # a role of one entry
        ("mentor", "qwen/qwen3-coder", "coder"),  # a role of three: the asset decides
    ],
)
def test_a_result_finds_its_entry(service: str, asset: str | None, entry: str) -> None:
    assert matched(service, asset) == (entry, None)


@pytest.mark.parametrize(
    ("service", "asset", "why"),
    [
        ("nothing", None, "no entry, model, alias or role is named 'nothing'"),
        ("mentor", None, "means 3 entries"),
        ("mentor", "other/model", "does not say which of them answered"),
        ("lab/small", "lab/small", "means 2 entries"),
    ],
)
def test_a_guess_is_no_match(service: str, asset: str | None, why: str) -> None:
    entry, reason = matched(service, asset)
    assert entry is None and why in (reason or "")


def report(tpot: float, *, number: int = 0, concurrency: int = 1, spread: float = 0.001,
           **receipt: Any) -> BenchReport:  # fmt: skip
    results = [
        RequestResult(
            status=200, started_s=float(n), ended_s=n + 0.2 + 10 * each, ttft_s=0.2, ttfo_s=0.2,
            e2e_s=0.2 + 10 * each, total_s=0.2 + 10 * each, tpot_s=each, completion_tokens=11,
            prompt_tokens=20, chunk_gaps_s=(each,) * 10, events=11,
        )
        for n, each in enumerate(tpot + spread * (n % 5 - 2) for n in range(20))
    ]  # fmt: skip
    one = point(BenchLoad(concurrency, None, None, 7), [results], ClientUse(0.0, 220))
    work = BenchWorkloadRun("shape", 1, "hash-1", 20, 11, True, 7, 0.0, 1, "disabled")
    place = BenchReceipt("m", "http://127.0.0.1:1", "m", **receipt)
    return BenchReport(f"b-{number}", "2026-02-01T00:00:00Z", "x", place, work, (one,), (), ())


def test_a_difference_is_shown_with_its_interval() -> None:
    answer = compare(
        report(0.050, quantization="Q8_0"), report(0.030, number=1, quantization="Q4_0")
    )
    rows = {row.metric: row for row in answer.rows}
    tpot = rows["tpot_s.mean"]
    assert tpot.ratio == pytest.approx(0.6) and tpot.differs is True
    assert tpot.interval is not None and tpot.interval.lower < 0.6 < tpot.interval.upper < 1
    assert tpot.interval.method == "delta"
    assert rows["ttft_s.mean"].differs is False  # equal: no difference is shown
    assert rows["tpot_s.p50"].interval is None and rows["tpot_s.p50"].differs is None
    assert "queue_s.mean" not in rows  # neither has it
    assert rows["output_tokens_per_s"].ratio is not None
    assert answer.differences == ("quantization: Q8_0 and Q4_0",)


def test_noise_is_no_difference() -> None:
    answer = compare(report(0.050, spread=0.015), report(0.052, number=1, spread=0.015))
    assert {row.metric: row.differs for row in answer.rows}["tpot_s.mean"] is False


def test_what_cannot_be_compared_is_refused() -> None:
    other = report(0.05, number=1)
    other = replace(other, workload=replace(other.workload, hash="hash-2"))
    with pytest.raises(UsageError, match="workloads differ") as error:
        compare(report(0.05), other)
    assert error.value.details["field"] == "workload.hash"
    with pytest.raises(UsageError, match="no load is in both: 1 and 4"):
        compare(report(0.05), report(0.05, number=1, concurrency=4))
