"""``modelscan bench`` as a user runs it: over a stand-in server, and over a real engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.bench_server import BenchServer

from modelscan.hub.checksums import sha256

RunInProcess = Callable[..., Ran]
SCHEMAS = Path(__file__).resolve().parents[2] / "modelscan" / "schemas"


@pytest.fixture
def server() -> Iterator[BenchServer]:
    with BenchServer() as running:
        yield running


def is_valid(document: Any) -> None:
    name = document["schema"].removeprefix("modelscan.").partition("/")[0]
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(document)


def route_to(server: BenchServer, run: RunInProcess, name: str = "coder") -> None:
    added = run("route", "add", name, "--base-url", server.url, "--model", "lab/stand-in")
    assert added.code == 0, added.err


def test_a_run_is_stored_listed_shown_compared_and_exported(
    server: BenchServer, run_in_process: RunInProcess, tmp_path: Path
) -> None:
    run, file = run_in_process, tmp_path / "run.json"
    route_to(server, run)
    ran = run("bench", "run", "coder", "--concurrency", "1,2", "--requests", "4", "--input-tokens",
              "30", "--output-tokens", "4", "--slo", "ttft=60s", "--ingest", "-o", str(file),
              "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    report = ran.json
    is_valid(report)
    assert report["receipt"]["service"] == "coder" and report["receipt"]["sha256"] is None
    assert [one["concurrency"] for one in report["points"]] == [1, 2]
    assert report["points"][0]["goodput_fraction"] == 1.0
    assert report["points"][0]["ttft_s"]["p99"] is None
    assert report["samples"][0]["service_id"] == "coder"
    assert json.loads(file.read_text())["report_id"] == report["report_id"]
    again = run("bench", "ingest", str(file), "--json").json
    is_valid(again)
    assert (again["accepted"], again["duplicates"]) == (0, 2)
    assert again["matched_services"] == ["coder"]
    listed = run("bench", "list", "--route", "coder", "--json").json
    is_valid(listed)
    assert len(listed["samples"]) == 2
    shown = run("bench", "show", report["report_id"][:6], "--json").json
    assert shown == report
    text = run("bench", "show", str(file))
    assert text.code == 0 and "1 at once" in text.out
    compared = run("bench", "compare", report["report_id"], str(file), "--json").json
    is_valid(compared)
    assert {row["ratio"] for row in compared["rows"]} <= {1.0, None}
    exported = tmp_path / "all.json"
    assert run("bench", "export", str(exported), "--json").json["samples"] == 2
    assert run("bench", "ingest", str(exported), "--json").json["duplicates"] == 2


def test_a_report_of_geniehive_is_ingested(
    server: BenchServer, run_in_process: RunInProcess, tmp_path: Path
) -> None:
    route_to(server, run_in_process)
    file = tmp_path / "geniehive.json"
    rows = [
        {"asset_id": None, "benchmark_id": None, "observed_at": 1795973398.7, "service_id": name,
         "workload": "chat.short_reasoning", "results": {"case_count": 2, "pass_rate": 1.0}}
        for name in ("coder", "mentor")
    ]  # fmt: skip
    file.write_text(json.dumps({"report_id": "coder-x", "source": "geniehive", "samples": rows}))
    first = run_in_process("bench", "ingest", str(file), "--json").json
    assert (first["accepted"], first["matched_services"]) == (2, ["coder"])
    assert "no entry, model, alias or role is named 'mentor'" in first["unmatched"][0]["reason"]
    assert run_in_process("bench", "ingest", str(file), "--json").json["duplicates"] == 2
    foreign = run_in_process("bench", "show", "coder-x")
    assert foreign.code == 2 and "written by geniehive" in foreign.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("--concurrency 2 --rate 3", "--rate starts them at random times"),
        ("--concurrency 0", "'0' is not a number of requests at once"),
        ("--concurrency 1,x", "'x' is not a number"),
        ("--slo ttft=fast", "is not a limit"),
        ("--duration soon", "is not a time"),
        ("--workload nothing", "no workload 'nothing'"),
        ("--workload chat.short_reasoning --input-tokens 9", "are for synthetic prompts"),
        ("--workload shape --dataset x.jsonl", "both select prompts"),
        ("--dataset missing.jsonl", "cannot read missing.jsonl"),
        ("--keep-times", "is for --replay-receipts"),
        ("--api-key env:X", "--api-key is for a URL"),
        ("--replay-receipts 1d", "none of 0 requests"),
        ("--requests 0", "--requests"),
    ],
)
def test_wrong_options_are_exit_2(
    server: BenchServer, run_in_process: RunInProcess, words: str, what: str
) -> None:
    route_to(server, run_in_process)
    ran = run_in_process("bench", "run", "coder", *words.split())
    assert ran.code == 2 and what in " ".join(ran.err.split()), ran.err
    assert server.sent == []


def test_what_a_route_changes_is_sent(server: BenchServer, run_in_process: RunInProcess) -> None:
    run = run_in_process
    route_to(server, run)
    added = run("route", "role", "add", "writer", "--system-prompt", "Be brief.")
    assert added.code == 0, added.err
    ran = run("bench", "run", "writer", "--workload", "chat.concise_support", "--requests", "2",
              "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert (ran.json["receipt"]["route"], ran.json["receipt"]["service"]) == ("writer", "coder")
    system = server.sent[-1].body["messages"][0]
    assert system["role"] == "system" and "Be brief." in system["content"]
    assert ran.json["points"][0]["pass_rate"] == 0.0  # "word word word" is no checklist
    assert {one["passed"] for one in ran.json["cases"]} == {0}
    assert ran.json["samples"][0]["results"]["pass_rate"] == 0.0


def test_a_url_with_a_key(
    server: BenchServer, run_in_process: RunInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, url = run_in_process, f"{server.url}/v1#lab/stand-in"
    server.key = "sk-secret-1"
    monkeypatch.setenv("BENCH_KEY", "sk-secret-1")
    ran = run("bench", "run", url, "--api-key", "env:BENCH_KEY", "--requests", "2", "--json")
    assert ran.code == 0, ran.err
    assert ran.json["receipt"]["endpoint"] == server.url and "sk-secret-1" not in ran.out
    monkeypatch.setenv("BENCH_KEY", "sk-wrong")
    assert run("bench", "run", url, "--api-key", "env:BENCH_KEY").code == 4
    monkeypatch.delenv("BENCH_KEY")
    assert run("bench", "run", url, "--api-key", "env:BENCH_KEY").code == 4
    literal = run("bench", "run", url, "--api-key", "sk-secret-1")
    assert literal.code == 2 and "sk-secret-1" not in literal.err
    server.key = None
    only = run("bench", "run", server.url, "--requests", "2", "--json")  # its one model
    assert only.json["receipt"]["requested_model"] == "lab/stand-in"


def test_what_cannot_answer(run_in_process: RunInProcess, tmp_path: Path) -> None:
    run = run_in_process
    assert run("bench", "run", "nothing").code == 2
    assert run("bench", "run", "http://127.0.0.1:9#m").code == 5
    offline = run("bench", "run", "https://api.example.com#m", "--offline")
    assert offline.code == 5 and "--offline" in offline.err
    assert run("bench", "show", "nothing").code == 2
    garbage = tmp_path / "x.json"
    garbage.write_bytes(b"\xff\x00{")
    assert run("bench", "ingest", str(garbage)).code == 2
    assert run("bench", "ingest", str(tmp_path / "missing.json")).code == 2
    assert run("bench", "show", str(garbage)).code == 2
    empty = run("bench", "list")
    assert empty.code == 0 and "modelscan bench run" in empty.err


def test_past_requests_are_repeated(
    server: BenchServer, run_in_process: RunInProcess, clean_environment: Path
) -> None:
    import time

    from modelscan.core.receipt import Receipt
    from modelscan.state.config import load
    from modelscan.state.server.database import ServerDatabase
    from modelscan.traces.store import ReceiptStore

    route_to(server, run_in_process)
    rows = [Receipt(f"{n:032x}", time.time() - 60 + n, "chat", "m", status=200,
                    input_tokens=20 + n, output_tokens=2 + n) for n in range(3)]  # fmt: skip
    with ServerDatabase.open(load().paths.state) as database:
        ReceiptStore(database).write(rows)
    ran = run_in_process("bench", "run", "coder", "--replay-receipts", "1h", "--requests", "3",
                         "--warmup", "0", "--json")  # fmt: skip
    assert ran.code == 0, ran.err
    assert [sent.body["max_tokens"] for sent in server.sent[-3:]] == [2, 3, 4]
    assert ran.json["points"][0]["prompt_tokens"] == 21


def test_a_deployment_is_measured_after_its_start(
    cli: Callable[..., Ran], clean_environment: Path
) -> None:
    """The real engine: the speed is stored, shown, and used by the next plan."""
    deployed = cli("deploy", "demo", "--name", "tiny", "--bench", "--json")
    assert deployed.code == 0, deployed.err
    try:
        speed = {row["what"]: row for row in deployed.json["speed"]}
        assert speed["decode"]["measured_tokens_per_s"] > 0
        shown = cli("show", "tiny", "--json").json
        rows = {row["what"]: row for row in shown["speed"]}
        assert rows["decode"]["runs"] == 1 and rows["decode"]["report_id"].startswith("b-")
        (sample,) = cli("bench", "list", "--json").json["samples"]
        assert (sample["service"], sample["workload"]) == ("tiny", "shape")
        assert sample["results"]["ttft_ms"] > 0 and sample["results"]["tokens_per_sec"] > 0
        report = cli("bench", "show", rows["decode"]["report_id"], "--json").json
        check = report["points"][0]["server_check"]
        assert check["source"] == "timings" and check["tpot_s"] > 0
        assert report["receipt"]["engine"].startswith("llama.cpp ")
        assert report["receipt"]["sha256"] == sha256(REPOSITORY / "examples" / "demo-model.gguf")
        assert report["receipt"]["hardware"] and report["receipt"]["foreign_requests"] is False
        stopped = cli("stop", "tiny")
        assert stopped.code == 0, stopped.err
        ended = cli("bench", "run", "tiny")
        assert ended.code == 5 and "hint: modelscan start tiny" in ended.err, ended.err
        estimate = cli("estimate", "demo", "--json").json
        assert "measured here" in estimate["speed"]["basis"]
    finally:
        cli("remove", "tiny", "--yes")
