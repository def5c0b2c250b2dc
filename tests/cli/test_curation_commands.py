"""``registry curate``, ``eval ingest`` and ``evals``: documents by their schemas, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.reports import bench_report, eval_report

from modelscan.registry.curations import approve, propose
from modelscan.registry.policy_file import load_policies
from modelscan.state.config import load
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import open_server
from modelscan.state.server.keys import KeyLimits, KeyStore

Run = Callable[..., Ran]
DEMO = str(REPOSITORY / "examples" / "demo-model.gguf")
GATES = """
tags:
  curated:
    gates: [{suite: coding, metric: accuracy, op: ">=", threshold: 0.6}]
"""


def document(ran: Ran, name: str) -> Any:
    assert ran.code == 0, ran.out + ran.err
    schema = json.loads((REPOSITORY / "modelscan" / "schemas" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(ran.json)
    assert ran.json["schema"] == f"modelscan.{name}/1"
    return ran.json


@pytest.fixture
def registry(run_in_process: Run) -> Callable[..., Ran]:
    def run(*words: str) -> Ran:
        return run_in_process("registry", *words, "--json")

    assert run("add", "acme/demo", "--from", DEMO, "--publish").code == 0
    return run


def proposed_by(who: str, *approvers: str) -> str:
    """A curation that keys proposed and approved over HTTP."""
    config = load()
    with open_server(config) as database:
        for name in (who, *approvers):
            KeyStore(database).create(name, KeyLimits(scopes=("curator",)))
        policies = load_policies(config)
        with database.writing() as connection:
            key = Actor("key", who)
            one = propose(connection, key, "acme/demo", 1, "curated", policies, 0.0)
            for name in approvers:
                approve(connection, Actor("key", name), one.id, policies, 0.0)
    return one.id


def test_the_user_of_this_machine_is_one_person(
    registry: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = registry("tag", "add", "acme/demo@1", "curated")
    assert (refused.code, refused.json["error"]["code"]) == (1, "policy")
    assert "curate propose acme/demo@1 --tag curated" in refused.json["error"]["hint"]
    made = document(registry("curate", "propose", "acme/demo@1"), "registry.curation")
    assert made["tag"] == "curated" and made["state"] == "proposed"
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "another")
    again = registry("curate", "approve", made["id"])
    assert (again.code, again.json["error"]["code"]) == (1, "same_person")
    rejected = registry("curate", "reject", made["id"], "--reason", "no license")
    assert document(rejected, "registry.curation")["reason"] == "no license"
    listed = document(registry("curate", "status"), "registry.curations")
    assert [one["state"] for one in listed["curations"]] == ["rejected"]


def test_the_user_and_a_key_are_two(registry: Callable[..., Ran]) -> None:
    name = proposed_by("bot", "ann")
    done = document(registry("curate", "approve", name), "registry.curation")
    assert done["state"] == "approved" and len(done["approvals"]) == 2
    assert registry("show", "acme/demo").json["tags"] == ["curated"]
    assert registry("tag", "rm", "acme/demo@1", "curated").code == 1
    assert document(registry("curate", "status", name), "registry.curation")["tagged"] is True


def test_an_import_brings_no_approved_tag(registry: Callable[..., Ran], tmp_path: Path) -> None:
    registry("tag", "add", "acme/demo@1", "quick")
    registry("curate", "approve", proposed_by("bot", "ann"))
    file = str(tmp_path / "registry.jsonl")
    assert registry("export", file).code == 0
    assert registry("remove", "acme/demo", "--yes").code == 0
    for _ in range(2):  # a repetition is harmless
        assert registry("import", file).code == 0
    assert registry("show", "acme/demo").json["tags"] == ["quick"]


def test_a_gate_that_is_not_met_is_exit_1_with_its_figures(
    registry: Callable[..., Ran], clean_environment: Path, tmp_path: Path
) -> None:
    (clean_environment / "config").mkdir(exist_ok=True)
    (clean_environment / "config" / "curation.yaml").write_text(GATES)
    name = proposed_by("bot")
    refused = registry("curate", "approve", name)
    assert (refused.code, refused.json["error"]["code"]) == (1, "gate_not_met")
    assert refused.json["error"]["details"]["gates"][0]["threshold"] == 0.6
    report = tmp_path / "report.json"
    report.write_text(json.dumps(eval_report("e-1", 0.7)))
    unmatched = registry("eval", "ingest", str(report))
    assert (unmatched.code, unmatched.json["error"]["code"]) == (2, "unmatched")
    for new in (True, False):
        done = registry("eval", "ingest", str(report), "--model", "acme/demo@1")
        assert [one["new"] for one in document(done, "registry.evals")["ingested"]] == [new]
    assert registry("curate", "approve", name).code == 0


def test_results_are_compared_in_80_columns(
    registry: Callable[..., Ran], run_in_process: Run, tmp_path: Path
) -> None:
    for number, report in enumerate(
        (eval_report("e-1", 0.7), bench_report("b-1", {1: 0.2, 4: 1.0}))
    ):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(report))
        assert registry("eval", "ingest", str(file), "--model", "acme/demo@1").code == 0
    rows = document(
        registry("evals", "--workload", "shape", "--sort", "ttft_s.p95"), "registry.evals"
    )
    assert [one["concurrency"] for one in rows["results"]] == [1, 4]  # the shortest time first
    wrong = registry("evals", "--suite", "coding", "--sort", "acuracy")
    assert (wrong.code, wrong.json["error"]["hint"]) == (
        2, "modelscan registry evals --sort accuracy",
    )  # fmt: skip
    shown = run_in_process("registry", "evals", "--suite", "coding", "--sort", "accuracy")
    assert "0.7" in shown.out and shown.code == 0


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "modelscan.eval.run/1"}'])
def test_files_that_are_no_report(
    registry: Callable[..., Ran], tmp_path: Path, content: str
) -> None:
    file = tmp_path / "report.json"
    file.write_text(content)
    done = registry("eval", "ingest", str(file))
    assert (done.code, done.json["error"]["code"]) == (2, "bad_report")
    assert str(file) in done.json["error"]["message"]


def test_a_report_of_geniehive_is_a_result(registry: Callable[..., Ran], tmp_path: Path) -> None:
    """It names a model only, and every run of a workload has the same id there."""
    sample: dict[str, Any] = {
        "service_id": "demo", "workload": "chat.short_reasoning", "observed_at": "2026-01-31T09:30:00Z",
        "results": {"case_count": 2, "pass_rate": 0.5, "ttft_ms": 120.0, "source": "script"},
    }  # fmt: skip
    report: dict[str, Any] = {"report_id": "demo-chat.short_reasoning", "samples": [sample]}
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert registry("eval", "ingest", str(file)).json["error"]["code"] == "unmatched"
    for day, rate in ((1, 0.5), (2, 0.75)):
        sample["results"]["pass_rate"] = rate
        sample["observed_at"] = f"2026-01-0{day}T09:30:00Z"
        file.write_text(json.dumps(report))
        assert registry("eval", "ingest", str(file), "--model", "acme/demo@1").code == 0
    asked = ("evals", "--workload", "chat.short_reasoning", "--sort", "pass_rate")
    rows = document(registry(*asked), "registry.evals")["results"]
    assert [one["metrics"]["pass_rate"] for one in rows] == [0.75]  # the newest
    assert rows[0]["metrics"]["ttft_ms"] == 120.0
    report["samples"].append({**sample, "service_id": "another"})
    file.write_text(json.dumps(report))
    assert registry("eval", "ingest", str(file), "--model", "acme/demo@1").code == 2
