"""``eval run`` against a server that knows the answers: inspect in its own process, the report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually
from support.eval_endpoint import AnsweringServer, answering
from support.served import routed, serving, write_routing

from modelscan.evals.items import SuiteRequest
from modelscan.evals.suites.registry import SUITES

pytest.importorskip("inspect_ai")
# Each starts a process that imports inspect: seconds of CPU time, minutes on a very busy machine.
pytestmark = pytest.mark.timeout(1800)
Run = Callable[..., Ran]
TOOLS = SUITES["tools"].make(SuiteRequest())
STRUCTURED = SUITES["structured"].make(SuiteRequest())


def test_a_run_is_graded_stored_and_shown(
    run_in_process: Run, clean_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through URL#MODEL with a key: valid, full score, a receipt without the key."""
    monkeypatch.setenv("MY_KEY", "sk-test-0123456789abcdef")
    clean_environment.mkdir(parents=True)
    (clean_environment / ".env").write_text(
        "DECOY_KEY=leaked\nOPENAI_BASE_URL=http://127.0.0.1:9\n"
    )
    with answering(TOOLS) as server:
        done = run_in_process(
            "eval", "run", "tools", "--route", f"{server.url}#scripted", "--api-key", "env:MY_KEY",
            "--limit", "12", "--concurrency", "4", "--thinking", "off",
            "-o", str(tmp_path / "report.json"), "--json",
        )  # fmt: skip
        requests = list(server.requests)
    report = done.json
    assert (done.code, report["status"], report["reason"]) == (0, "valid", None), done
    score = report["scores"][0]
    assert (score["metric"], score["value"], score["n"]) == ("pass_rate", 1.0, 12)
    assert score["interval"]["method"] == "wilson"
    assert 0.7 < score["interval"]["lower"] < 0.8
    receipt = report["receipt"]
    assert receipt["requested_model"] == "scripted"
    assert receipt["served_model"] == "scripted-v1"
    assert receipt["thinking"] == "off"
    assert receipt["context_tokens"] == 8192
    assert receipt["generation"] == {
        "temperature": 0.0, "seed": 7, "max_tokens": 256, "cache_prompt": None,
    }  # fmt: skip
    assert receipt["packages"]["inspect-ai"] == "0.3.285"
    assert len(requests) == 12
    body, headers = requests[0]
    assert (body["seed"], body["temperature"], body["reasoning_effort"]) == (7, 0, "none")
    assert headers["authorization"] == "Bearer sk-test-0123456789abcdef"
    kept = [path for path in clean_environment.rglob("*") if path.is_file()]
    assert not any(b"sk-test-0123" in path.read_bytes() for path in kept)
    assert not any(b"leaked" in path.read_bytes() for path in kept if path.name != ".env")
    assert json.loads((tmp_path / "report.json").read_text())["eval_id"] == report["eval_id"]
    shown = run_in_process("eval", "show", report["eval_id"], "--json").json
    assert shown == report
    listed = run_in_process("eval", "list", "--json").json["evals"]
    assert [row["eval_id"] for row in listed] == [report["eval_id"]]
    (row,) = run_in_process("eval", "board", "--suite", "tools", "--json").json["rows"]
    assert (row["score"], row["model"], row["cost_usd"]) == (1.0, "scripted-v1", None)


def test_a_route_is_requested_from_the_running_gateway(
    run_in_process: Run, clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipts say who answered and what it cost; a role with two entries names both."""
    monkeypatch.setenv("MODELSCAN_MACHINE_WATTS", "3600")
    monkeypatch.setenv("MODELSCAN_ELECTRICITY_USD_PER_KWH", "1000")
    run = ("eval", "run", "tools", "--limit", "4", "--json", "--route")
    with answering(TOOLS) as one, answering(TOOLS) as two:
        role = {"role_id": "either", "operation": "chat",
                "routing_policy": {"strategy": "round_robin", "requires_tags": ["pool"]}}  # fmt: skip
        entries = [entry("one", one), entry("two", two)]
        policy = {"name": "marked", "confirm": ["*"], "routes": ["either"]}
        write_routing(clean_environment, routed(*entries, roles=[role], tool_policies=[policy]))
        direct = run_in_process(*run, "one").json
        with serving() as gateway:
            report = run_in_process(*run, "one").json
            both = run_in_process(*run, "either").json
            spans = run_in_process("trace", "list", "--json").json["spans"]
    assert direct["status"] == report["status"] == both["status"] == "valid", (report, both)
    assert [task["trace_id"] for task in direct["tasks"]] == [None] * 4
    assert (report["receipt"]["endpoint"], report["receipt"]["provider"]) == (gateway.url, "local")
    assert report["receipt"]["model"] == "lab/one"
    by_id = {span["trace_id"]: span for span in spans}
    for task in report["tasks"]:
        span = by_id[task["trace_id"]]
        assert (span["provider"], span["stream"], span["status"]) == ("one", True, 200)
        assert 0 < task["ttft_s"] <= task["seconds"]
        assert task["prompt_tokens"] == span["usage"]["input_tokens"] == 30
    # 3600 W at 1000 USD per kWh: a dollar per second of work.
    seconds = sum(by_id[task["trace_id"]]["duration_s"] for task in report["tasks"])
    assert report["cost_usd"] == pytest.approx(seconds)
    assert report["cost_source"] == "this machine's seconds of work"
    assert direct["cost_usd"] == pytest.approx(sum(task["seconds"] for task in direct["tasks"]))
    assert (both["receipt"]["provider"], both["receipt"]["engine"]) == ("one, two", None)
    assert report["receipt"]["tool_policy"] == {"name": "none", "sha256": None}
    assert both["receipt"]["tool_policy"]["name"] == "marked"
    assert len(both["receipt"]["tool_policy"]["sha256"]) == 64
    assert both["warnings"] == ["several entries answered: one, two"]


def entry(name: str, server: AnsweringServer) -> dict[str, Any]:
    """An entry of a routing file."""
    return {
        "name": name, "type": "local", "base_url": server.url, "model": f"lab/{name}",
        "served_model": "scripted", "tags": ["pool"],
    }  # fmt: skip


def test_a_task_without_a_grade_makes_the_run_invalid(run_in_process: Run) -> None:
    """inspect itself reports such a run as a success."""
    with answering(STRUCTURED) as server:
        server.refused.add(STRUCTURED.items[1].prompt)
        done = run_in_process(
            "eval",
            "run",
            "structured",
            "--route",
            f"{server.url}#scripted",
            "--limit",
            "3",
            "--json",
        )
        body, _ = server.requests[0]
    report = done.json
    assert (done.code, report["status"], report["scores"]) == (1, "invalid", [])
    assert "1 of 3 samples have no grade" in report["reason"]
    assert "the prompt is refused" in report["reason"]
    assert len(report["tasks"]) == 2
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema == STRUCTURED.items[0].schema


def test_ctrl_c_keeps_what_was_graded(clean_environment: Path) -> None:
    """No process is left, the report has the finished tasks and no score."""
    with answering(TOOLS) as server:
        server.silent |= {item.prompt for item in TOOLS.items[2:]}
        process = subprocess.Popen(
            [sys.executable, "-m", "modelscan", "eval", "run", "tools", "--route",
             f"{server.url}#scripted", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        )  # fmt: skip
        eventually(lambda: len(server.requests) > 2 and len(graded(clean_environment)) == 2, 900)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=900)
    report: dict[str, Any] = json.loads(out)
    assert process.returncode == 130, err
    assert (report["status"], report["scores"]) == ("cancelled", [])
    assert len(report["tasks"]) == 2
    assert all(task["value"] == 1.0 for task in report["tasks"])
    assert not children_of(clean_environment)


def graded(home: Path) -> list[str]:
    files = list((home / "state" / "evals").glob("*/rows.jsonl"))
    return files[0].read_text().splitlines() if files else []


def children_of(home: Path) -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return [line for line in lines if str(home) in line]


def test_scripted_answers_prove_the_tasks(run_in_process: Run) -> None:
    """The same grades by inspect's own mock model; the other suites: test_eval_suites.py."""
    done = run_in_process("eval", "verify", "tools", "--json")
    assert done.code == 0, done
    for proof in done.json["suites"]:
        assert proof["ok"] and not proof["faults"]
        for part in ("reference", "stub", "wrong"):
            assert proof[part]["answers"] == proof[part]["as_expected"] >= 30


def test_usage_errors(run_in_process: Run, tmp_path: Path) -> None:
    """Each with the exit code of its kind, before anything starts."""
    with answering(TOOLS) as server:
        route = f"{server.url}#scripted"
        assert run_in_process("eval", "run", "tols", "--route", route).code == 2
        assert run_in_process("eval", "run", "tools", "--route", "nothing").code == 2
        assert (
            run_in_process("eval", "run", "coding", "--route", route, "--sandbox", "local").code
            == 3
        )
        assert run_in_process("eval", "run", "inspect_nothing/gsm8k", "--route", route).code == 3
        missing = str(tmp_path / "missing.yaml")
        assert (
            run_in_process("eval", "run", "tools", "--route", route, "--tool-policy", missing).code
            == 2
        )
        bad = tmp_path / "bad.yaml"
        for text in ("deny: all", "- a", "deny: [1]", "{", "", "name: a", "deny: [a]\ndenied: [b]"):
            bad.write_text(text)
            done = run_in_process(
                "eval", "run", "tools", "--route", route, "--tool-policy", str(bad)
            )
            assert done.code == 2, done
        assert (
            run_in_process("eval", "run", "tools", "--route", route, "--api-key", "plain").code == 2
        )
    closed = run_in_process("eval", "run", "tools", "--route", route)
    assert closed.code == 5, closed
    assert server.requests == []


def test_offline_asks_no_other_machine(run_in_process: Run) -> None:
    done = run_in_process("eval", "run", "tools", "--route", "http://192.0.2.1#x", "--offline")
    assert done.code == 5
    assert "is not this machine" in done.err
    assert "eval run" in done.err


def test_connections_elsewhere_are_refused(tmp_path: Path) -> None:
    """The guard of the process that runs a suite."""
    code = (
        "import socket, sys\n"
        "from modelscan.evals.inspect.guard import allow_only\n"
        "allow_only([('127.0.0.1', int(sys.argv[1]))])\n"
        "socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5).close()\n"
        "for place in (('127.0.0.1', int(sys.argv[1]) + 1), ('192.0.2.1', 80), ('example.org', 443)):\n"
        "    try:\n"
        "        socket.create_connection(place, 5)\n"
        "    except PermissionError as error:\n"
        "        print('refused', error)\n"
    )
    with answering(TOOLS) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, str(server.server_port)],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    assert done.stdout.count("refused") == 3, done


def test_no_command_but_run_and_verify_imports_inspect() -> None:
    code = (
        "import sys\n"
        "from modelscan.cli.app import run\n"
        "for words in (['eval', '--help'], ['eval', 'suites'], ['eval', 'list'], ['eval', 'board'],"
        " ['eval', 'show', 'x'], ['eval', 'compare', 'x', 'y'], ['eval', 'run', 'x', '--route', 'y']):\n"
        "    run(words)\n"
        "sys.stderr.write('|' + ' '.join(sorted({'inspect_ai', 'openai', 'numpy'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.endswith("|"), done.stderr


def test_fixture_is_what_the_suite_asks(tmp_path: Path) -> None:
    """The stand-in server answers every prompt of the suite."""
    with answering(TOOLS) as server:
        assert isinstance(server, AnsweringServer)
        assert len(server.answers) == len(TOOLS.items)
