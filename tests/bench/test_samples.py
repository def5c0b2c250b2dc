"""Benchmark results: reports of GenieHive and of modelscan are read, stored once, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from modelscan.bench import samples as stored
from modelscan.bench.report_reader import (
    GivenReport,
    GivenSample,
    ReportFault,
    read_report,
    read_report_text,
)
from modelscan.bench.samples import (
    ServiceMatch,
    UnmatchedSample,
    ingest,
    report_ids,
    sample_rows,
    samples,
    stored_report,
)
from modelscan.state.server.database import ServerDatabase, change_number

NOW = 1_795_973_398.5
RESULTS = {
    "case_count": 2, "completion_tokens": 31, "empty_visible_response_rate": 0.0,
    "p50_latency_ms": 54.6, "pass_rate": 1.0, "prompt_tokens": 113, "response_rate": 1.0,
    "tokens_per_sec": 2064.7, "ttft_ms": 4.5,
}  # fmt: skip


def geniehive(**changes: Any) -> dict[str, Any]:
    """A report as GenieHive's scripts write it."""
    sample = {
        "asset_id": None, "benchmark_id": None, "observed_at": NOW, "results": dict(RESULTS),
        "service_id": "demo", "workload": "chat.short_reasoning", **changes,
    }  # fmt: skip
    return {
        "observed_at": NOW,
        "report_id": "demo-chat.short_reasoning",
        "samples": [sample],
        "source": "geniehive-benchmark-runner",
    }


def by_name(sample: GivenSample) -> ServiceMatch:
    known = sample.service_id == "demo"
    return ServiceMatch("coder") if known else ServiceMatch(None, "no entry has that name")


@pytest.fixture
def database(server_database: ServerDatabase) -> ServerDatabase:
    """Of SQLite, and of PostgreSQL where it is installed."""
    return server_database


def report(**changes: Any) -> GivenReport:
    return read_report(geniehive(**changes), NOW)


def test_a_report_is_stored_once(database: ServerDatabase) -> None:
    first = ingest(database, report(), by_name)
    again = ingest(database, report(), by_name)
    assert (first.accepted, first.duplicates, first.matched_services) == (1, 0, ("coder",))
    assert (again.accepted, again.duplicates, again.matched_services) == (0, 1, ("coder",))
    (found,) = samples(database)
    assert found.service == "coder" and found.service_id == "demo"
    assert found.results == RESULTS
    assert found.number("ttft_ms") == 4.5 and found.number("quality_score") is None
    assert found.source == "geniehive-benchmark-runner"
    assert found.observed_at == "2026-11-29T17:29:58.500Z"
    assert stored_report(database, "demo-chat.short_reasoning") == geniehive()
    assert stored_report(database, "other") is None
    with database.reading() as connection:
        assert change_number(connection, "samples") == 1


def test_the_cases_of_a_result_are_kept(database: ServerDatabase) -> None:
    cases = [{"case_id": "a", "passed": False, "check_failures": [{"kind": "nonempty"}]}]
    report = geniehive(results={**RESULTS, "case_results": cases})
    assert ingest(database, read_report(report, NOW), by_name).accepted == 1
    assert samples(database)[0].results["case_results"] == cases
    assert ingest(database, read_report(report, NOW), by_name).duplicates == 1


def test_other_results_replace_those_of_the_same_id(database: ServerDatabase) -> None:
    ingest(database, report(benchmark_id="b-1/4"), by_name)
    better = {**RESULTS, "pass_rate": 0.5}
    answer = ingest(database, report(benchmark_id="b-1/4", results=better), by_name)
    assert (answer.accepted, answer.duplicates) == (1, 0)
    assert [one.results["pass_rate"] for one in samples(database)] == [0.5]


def test_what_matches_nothing_is_stored_with_its_reason(database: ServerDatabase) -> None:
    answer = ingest(database, report(service_id="mentor", benchmark_id="b-2"), by_name)
    assert answer.unmatched == (UnmatchedSample("b-2", "no entry has that name"),)
    assert answer.accepted == 1
    # When its service is there, the same report finds it.
    later = ingest(
        database, report(service_id="mentor", benchmark_id="b-2"), lambda _: ServiceMatch("m")
    )
    assert (later.accepted, later.duplicates) == (0, 1)
    assert [one.service for one in samples(database, service="m")] == ["m"]


def test_results_are_read_by_service_workload_and_age(database: ServerDatabase) -> None:
    for number, workload in enumerate(("shape", "shape", "chat.concise_support")):
        one = report(benchmark_id=f"b-{number}", workload=workload, observed_at=NOW + number)
        ingest(database, one, by_name)
    assert [one.benchmark_id for one in samples(database)] == ["b-2", "b-1", "b-0"]
    assert [one.benchmark_id for one in samples(database, workload="shape")] == ["b-1", "b-0"]
    assert [one.benchmark_id for one in samples(database, since=NOW + 1)] == ["b-2", "b-1"]
    assert [one.benchmark_id for one in samples(database, service="demo", limit=1)] == ["b-2"]
    assert samples(database, service="nothing") == ()


def test_what_is_read_can_be_ingested_again(database: ServerDatabase) -> None:
    """Both readers understand what is exported: the times may be numbers or RFC 3339."""
    ingest(database, report(), by_name)
    body = json.dumps({"samples": sample_rows(samples(database))})
    again = ingest(database, read_report_text(body, 0.0), by_name)
    assert (again.accepted, again.duplicates) == (0, 1)


@pytest.mark.parametrize(
    "text", ["2026-11-29T17:29:58.5Z", "2026-11-29T18:29:58.5000001+01:00", NOW]
)
def test_times_are_numbers_or_text(text: object) -> None:
    assert report(observed_at=text).samples[0].observed_at == NOW


def test_a_sample_without_an_id_is_known_by_its_content() -> None:
    one, same = (read_report({"samples": geniehive()["samples"]}, NOW) for _ in range(2))
    (other,) = report(service_id="x").samples
    assert one.samples[0].benchmark_id == same.samples[0].benchmark_id
    assert one.samples[0].benchmark_id != other.benchmark_id
    assert one.report_id is None and one.document is None


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"service_id": None}, "$.samples[0].service_id"),
        ({"service_id": "a\x00b"}, "$.samples[0].service_id"),
        ({"workload": " "}, "$.samples[0].workload"),
        ({"workload": "w" * 301}, "$.samples[0].workload"),
        ({"observed_at": "yesterday"}, "$.samples[0].observed_at"),
        ({"observed_at": "2026-01-31T09:30:00"}, "$.samples[0].observed_at"),
        ({"observed_at": True}, "$.samples[0].observed_at"),
        ({"results": []}, "$.samples[0].results"),
        ({"results": {"pass_rate": 1.5}}, "$.samples[0].results.pass_rate"),
        ({"results": {"ttft_ms": -1}}, "$.samples[0].results.ttft_ms"),
        ({"results": {"ttft_ms": "fast"}}, "$.samples[0].results.ttft_ms"),
        ({"results": {"ttft_ms": float("inf")}}, "$.samples[0].results.ttft_ms"),
        ({"results": {"ttft_ms": [1]}}, "$.samples[0].results.ttft_ms"),
        ({"results": {"cases": [float("nan")]}}, "$.samples[0].results.cases"),
        ({"results": {"cases": [{"text": "a\x00b"}]}}, "$.samples[0].results.cases"),
        ({"results": {"cases": ["x" * 70_000]}}, "$.samples[0].results.cases"),
        ({"results": {str(n): n for n in range(101)}}, "$.samples[0].results"),
        ({"asset_id": 7}, "$.samples[0].asset_id"),
    ],
)
def test_a_fault_names_its_place(changes: Mapping[str, Any], place: str) -> None:
    with pytest.raises(ReportFault) as error:
        report(**changes)
    assert str(error.value).startswith(place + ":")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"samples": {}}', '{"samples": [1]}', "\x00"])
def test_what_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(ReportFault):
        read_report_text(text, NOW)


def test_the_oldest_are_deleted(database: ServerDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST_SAMPLES_STORED", 3)
    monkeypatch.setattr(stored, "MOST_REPORTS_STORED", 2)
    for number in range(5):
        document = {**geniehive(benchmark_id=f"b-{number}"), "report_id": f"r-{number}"}
        ingest(database, read_report({**document, "observed_at": NOW + number}, NOW), by_name)
    assert [one.benchmark_id for one in samples(database)] == ["b-4", "b-3", "b-2"]
    assert report_ids(database) == ("r-4", "r-3")


def test_the_number_of_samples_is_bounded() -> None:
    row = geniehive()["samples"][0]
    with pytest.raises(ReportFault, match="10,001"):
        read_report({"samples": [row] * 10_001}, NOW)
