"""Many commands at once: none is lost, none gets another's port, one name is one deployment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Ran
from support.engine_processes import living

from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config

pytest_plugins = ("support.engine_fixtures",)


def deploy(model_file: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modelscan", "deploy", str(model_file), "--json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip


@pytest.mark.timeout(900)
def test_twenty_deploys_at_once(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path, config: Config
) -> None:
    names = [f"model-{number:02}" for number in range(20)]
    commands = [
        deploy(model_file, "--name", name, "--context", "64", "--param", "threads=1")
        for name in names
    ]
    results = [(command.communicate(timeout=240), command.returncode) for command in commands]
    for (out, err), code in results:
        assert code == 0, out + err
    rows = run_in_process("list", "--json").json["deployments"]
    assert [row["name"] for row in rows] == names
    assert {row["state"] for row in rows} == {"running"}
    assert {row["health"] for row in rows} == {"ok"}
    assert len({row["port"] for row in rows}) == 20
    routes = load_routes(config.routing_file).routes
    assert sorted(route.name for route in routes) == names
    assert {route.base_url for route in routes} == {row["endpoint"] for row in rows}
    assert len(living(home)) == 40
    assert run_in_process("remove", "--all", "--yes").code == 0
    assert living(home) == []


def test_two_deploys_of_one_name_make_one_deployment(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path
) -> None:
    commands = [deploy(model_file) for _ in range(3)]
    answers = [json.loads(command.communicate(timeout=300)[0]) for command in commands]
    assert [command.returncode for command in commands] == [0, 0, 0]
    assert sorted(answer["changed"] for answer in answers) == [False, False, True]
    assert len({answer["deployment"]["pid"] for answer in answers}) == 1
    assert len(living(home)) == 2


def test_the_second_of_two_different_deploys_of_one_name_is_told(
    run_in_process: Callable[..., Ran], home: Path, model_file: Path
) -> None:
    commands = [deploy(model_file, "--context", context) for context in ("128", "256")]
    answers = [json.loads(command.communicate(timeout=300)[0]) for command in commands]
    assert sorted(command.returncode for command in commands) == [0, 2]
    refused = next(answer for answer in answers if "error" in answer)
    assert refused["error"]["code"] == "name_taken"
    assert len(living(home)) == 2
