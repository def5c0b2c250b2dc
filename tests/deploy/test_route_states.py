"""``route list``, ``resolve`` and ``validate`` look at what runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.deployments import make

from modelscan.core.deployment_state import State
from modelscan.deploy.route_states import route_findings, route_states
from modelscan.routing.schema import parse

if TYPE_CHECKING:
    from support.engine_fixtures import Run

pytest_plugins = ("support.engine_fixtures",)


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


def test_a_stopped_default_is_reported_and_the_other_offered(run: Run, model_file: Path) -> None:
    for name in ("one", "two"):
        assert run("deploy", str(model_file), "--name", name).code == 0
    assert run("stop", "one", "--drain", "0").code == 0
    rows = run("route", "list", "--json").json["routes"]
    assert [(r["name"], r["state"], r["default"]) for r in rows] == [
        ("one", "stopped", True), ("two", "running", False),
    ]  # fmt: skip
    answer = run("route", "resolve", "--json")
    assert (answer.code, answer.json["route"], answer.json["nearest"]) == (2, None, ["two"])
    assert answer.json["hint"] == "modelscan start one"
    findings = run("route", "validate", "--json").json["findings"]
    assert ["cannot answer, its deployment is stopped" in f["message"] for f in findings] == [True]
    assert run("remove", "--all", "--yes", "--drain", "0").code == 0


def entry(name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "type": "local", "base_url": "http://127.0.0.1:1", "model": "m",
            "deployment": name, **fields}  # fmt: skip


def test_what_is_wrong_with_an_entry() -> None:
    direct = {"providers": [entry("gone"), entry("dead"), entry("off", enabled=False)]}
    file = parse({"version": 1, "routing": {"direct": direct}})
    rows = [make("dead", state=State.FAILED, reason="killed"), make("off", state=State.STOPPED)]
    assert {n: s.state for n, s in route_states(file, rows).items()} == {
        "gone": "unknown", "dead": "failed", "off": "stopped",
    }  # fmt: skip
    findings = route_findings(file, rows)
    assert [(f.message, f.hint) for f in findings] == [
        ("gone: its deployment 'gone' is not recorded on this machine", "modelscan list"),
        ("dead: its deployment is failed: killed", "modelscan start dead"),
    ]
