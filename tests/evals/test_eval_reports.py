"""Reports: compared, ranked, stored; damaged ones are refused with the field's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran

from modelscan.core.envelope import envelope
from modelscan.core.errors import UsageError
from modelscan.evals.board import board
from modelscan.evals.compare import compare
from modelscan.evals.items import SuiteRequest
from modelscan.evals.job import JobOutcome, SampleRow
from modelscan.evals.options import ChosenPolicy, EvalOptions
from modelscan.evals.process import JobResult
from modelscan.evals.report import EvalReport, ToolPolicy
from modelscan.evals.run_receipt import receipt_of
from modelscan.evals.runs import ingest, report_of_run
from modelscan.evals.samples import sample_report
from modelscan.evals.scoring import scores_of
from modelscan.evals.storage import find_report, store, stored_reports
from modelscan.evals.subject import EvalSubject
from modelscan.evals.suites.registry import SUITES
from modelscan.state.config import load

Run = Callable[..., Ran]
TOOLS = SUITES["tools"].make(SuiteRequest())
SUBJECT = EvalSubject("coder", "http://127.0.0.1:1", "coder", "local", engine="llama.cpp 1",
                      quantization="Q4_K_M", memory_bytes=2_000_000_000)  # fmt: skip


def rows(values: Sequence[float], suite: Any = TOOLS, **changes: Any) -> tuple[SampleRow, ...]:
    return tuple(
        SampleRow(
            "tools", item.id, 1, value, "", None, {}, "0" * 64, 10, 5, 2.0, "coder", **changes
        )
        for item, value in zip(suite.items, values, strict=False)
    )


def report(
    values: Sequence[float],
    name: str = "e-1",
    *,
    status: str = "finished",
    expected: int | None = None,
) -> EvalReport:
    suite = replace(TOOLS, items=TOOLS.items[: expected or len(values)])
    outcome = JobOutcome(status, len(values), errors=("x: boom",) if status == "failed" else ())  # type: ignore[arg-type]
    result = JobResult(rows(values), outcome)
    policy = ChosenPolicy(ToolPolicy(), ())
    receipt = receipt_of(
        suite, SUBJECT, EvalOptions("coder"), None, policy, result, "2026-01-01T00:00:00.000Z"
    )
    return report_of_run(name, suite, receipt, result, 1)


def test_status() -> None:
    assert report([1.0] * 34).status == "valid"
    assert report([1.0] * 33, expected=34).status == "invalid"
    assert report([], expected=3).status == "invalid"
    assert report([1.0] * 34, status="failed").status == "invalid"
    cancelled = report([1.0] * 5, status="cancelled", expected=34)
    assert (cancelled.status, cancelled.scores, len(cancelled.tasks)) == ("cancelled", (), 5)


def test_epochs_do_not_narrow_the_interval() -> None:
    once = rows([1.0, 0.0] * 10)
    four = tuple(replace(row, epoch=epoch) for row in once for epoch in range(1, 5))
    assert scores_of(TOOLS, once) == scores_of(TOOLS, four)


def test_scores_of_review_and_long_context() -> None:
    review = SUITES["review"].make(SuiteRequest())
    graded = [
        SUITES["review"].grade(item, item.reference if n % 2 else item.wrong[0], None)
        for n, item in enumerate(review.items)
    ]
    made = [
        replace(row, value=grade.value, counts=grade.counts)
        for row, grade in zip(rows([0.0] * 33, review), graded, strict=True)
    ]
    scores = {one.metric: one for one in scores_of(review, made)}
    assert set(scores) == {"f1", "recall", "precision", "tasks_right"}
    assert 0.3 < scores["recall"].value < 0.7
    assert scores["f1"].interval is not None and scores["f1"].interval.method == "bootstrap"
    assert scores["f1"].interval.lower < scores["f1"].value < scores["f1"].interval.upper
    nothing = [
        replace(row, counts={"seeded": 1, "found": 0, "reported": 2, "right": 0}) for row in made
    ]
    (f1, *_) = scores_of(review, nothing)
    assert f1.interval is not None
    assert (f1.value, f1.interval.lower, f1.interval.method) == (0.0, 0.0, "wilson")
    assert 0.05 < f1.interval.upper < 0.2
    long = SUITES["long_context"].make(SuiteRequest(7, 8192))
    named = {one.metric: one for one in scores_of(long, rows([1.0] * 15 + [0.0] * 15, long))}
    assert named["recall"].value == 0.5
    assert named["recall tokens=4096 depth=0.5"].value == 1.0
    assert named["recall tokens=8192 depth=0.5"].value == 0.0


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        ([1.0] * 34, [0.0] * 34, "a_better"), ([0.0] * 34, [1.0] * 20 + [0.0] * 14, "b_better"),
        ([1.0] * 17 + [0.0] * 17, [1.0] * 16 + [0.0] * 18, "no_difference_shown"),
        ([1.0] * 34, [1.0] * 34, "no_difference_shown"), ([1.0] * 29, [0.0] * 29, "too_few"),
    ],
)  # fmt: skip
def test_verdicts(a: list[float], b: list[float], verdict: str) -> None:
    answer = compare(report(a), report(b, "e-2"))
    assert answer.verdict == verdict
    assert answer.difference == pytest.approx(sum(a) / len(a) - sum(b) / len(b))
    assert answer.discordant.a_only == sum(x > y for x, y in zip(a, b, strict=True))
    assert answer == compare(report(a), report(b, "e-2"))


def test_only_valid_runs_of_the_same_tasks_are_compared() -> None:
    with pytest.raises(UsageError) as caught:
        compare(report([1.0] * 34), report([1.0] * 33))
    assert caught.value.details["field"] == "suite.hash"
    with pytest.raises(UsageError) as caught:
        compare(report([1.0] * 34), report([1.0] * 33, expected=34))
    assert caught.value.details["field"] == "status"


@pytest.mark.parametrize(
    ("place", "field"),
    [(("receipt", "generation"), "receipt.generation"), (("receipt", "revision"), "receipt.revision"),
     (("receipt", "thinking"), "receipt.thinking"), (("receipt",), "receipt.route")],
)  # fmt: skip
def test_a_missing_field_of_the_receipt_is_named(
    run_in_process: Run, tmp_path: Path, place: tuple[str, ...], field: str
) -> None:
    documents = [envelope("eval.run", report([1.0] * 34, name)) for name in ("e-1", "e-2")]
    target = documents[1]
    for name in place[:-1]:
        target = target[name]
    del target[place[-1]]
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file, document in zip(files, documents, strict=True):
        file.write_text(json.dumps(document))
    done = run_in_process("eval", "compare", *map(str, files), "--json")
    assert done.code == 2
    assert done.json["error"]["details"]["field"] == field


def test_null_where_it_must_be_known(run_in_process: Run, tmp_path: Path) -> None:
    document = envelope("eval.run", report([1.0] * 34))
    document["receipt"]["thinking"] = None
    (tmp_path / "a.json").write_text(json.dumps(document))
    done = run_in_process("eval", "compare", str(tmp_path / "a.json"), str(tmp_path / "a.json"))
    assert done.code == 2 and "thinking" in done.err


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": "modelscan.eval.run/1"}', "\x00"]
)
def test_files_that_are_no_reports(run_in_process: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    for words in (["show", str(file)], ["compare", str(file), str(file)]):
        assert run_in_process("eval", *words).code == 2


def test_compare_by_id_and_by_route(run_in_process: Run, clean_environment: Path) -> None:
    paths = load().paths
    store(paths, report([1.0] * 34, "e-aaa1"))
    other = report([0.0] * 34, "e-bbb2")
    store(paths, replace(other, receipt=replace(other.receipt, route="small")))
    by_id = run_in_process("eval", "compare", "e-a", "e-b", "--json").json
    by_route = run_in_process(
        "eval", "compare", "coder", "small", "--suite", "tools", "--json"
    ).json
    assert by_id == by_route
    assert by_id["verdict"] == "a_better"
    assert run_in_process("eval", "compare", "e-", "e-b").code == 2
    assert run_in_process("eval", "compare", "coder", "none", "--suite", "tools").code == 2


def test_the_board_has_the_newest_valid_run_of_each_model() -> None:
    old, new = report([1.0] * 34, "e-old"), report([1.0] * 17 + [0.0] * 17, "e-new")
    other = report([1.0] * 34, "e-other")
    other = replace(other, receipt=replace(other.receipt, quantization="Q8_0"))
    answer = board([new, old, other, report([1.0] * 3, "e-bad", expected=34)])
    assert [row.eval_id for row in answer.rows] == ["e-other", "e-new"]
    row = answer.rows[0]
    assert row.score_per_gb == pytest.approx(0.5)
    assert row.score_per_s == pytest.approx(0.5)
    assert (row.score_per_usd, row.tokens_per_s) == (None, 2.5)


def test_damaged_reports_are_left_out_of_lists(clean_environment: Path) -> None:
    paths = load().paths
    store(paths, report([1.0] * 34, "e-good"))
    for name, text in (("e-bad", "{"), ("e-empty", ""), ("e-other", '{"schema": "x"}')):
        folder = paths.state / "evals" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(text)
    assert [one.eval_id for one in stored_reports(paths)] == ["e-good"]
    assert find_report(paths, "e-go").eval_id == "e-good"
    with pytest.raises(UsageError):
        find_report(paths, "e-bad")


def test_export(run_in_process: Run, clean_environment: Path, tmp_path: Path) -> None:
    store(load().paths, report([1.0] * 34, "e-1"))
    file = tmp_path / "reports.jsonl"
    done = run_in_process("eval", "export", str(file), "--json").json
    assert (done["reports"], Path(done["file"])) == (1, file)
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["eval_id"] == "e-1"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_report_as_a_benchmark_sample() -> None:
    document = sample_report(report([1.0] * 17 + [0.0] * 17))
    assert document is not None
    (sample,) = document["samples"]
    assert (sample["service_id"], sample["workload"]) == ("coder", "tools")
    results = sample["results"]
    assert (results["case_count"], results["pass_rate"], results["p50_latency_ms"]) == (
        34,
        0.5,
        2000,
    )
    assert sample_report(report([1.0], expected=3)) is None


def test_a_valid_report_is_a_sample_of_its_route(
    run_in_process: Run, clean_environment: Path
) -> None:
    """Of the entry of that name; without one it is stored too, and the run warns."""
    config = load()
    assert ingest(report([1.0] * 3, expected=34), config) == []
    (warning,) = ingest(report([1.0] * 17 + [0.0] * 17, "e-unknown"), config)
    assert "no entry, model, alias or role is named 'coder'" in warning
    words = ["add", "coder", "--base-url", "http://127.0.0.1:9", "--model", "lab/x"]
    assert run_in_process("route", *words).code == 0
    assert ingest(report([1.0] * 34, "e-known"), load()) == []
    stored = run_in_process("bench", "list", "--route", "coder", "--json").json["samples"]
    rates = {row["benchmark_id"]: row["results"]["pass_rate"] for row in stored}
    assert rates == {"e-known": 1.0, "e-unknown": 0.5}
