"""The same life on a real GPUStack 0.7.1: other paths, other spelling, no clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.gpustack_calls import call
from support.gpustack_session import Server, start_or_skip, validating
from support.patience import COMMAND_S

pytest_plugins = ("support.gpustack_fixtures",)
pytestmark = [pytest.mark.gpustack, pytest.mark.timeout(4 * COMMAND_S)]
Cli = Callable[..., Any]


@pytest.fixture
def cli(cli: Cli) -> Cli:
    return validating(cli)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = start_or_skip("0.7.1")
    yield started
    started.end()


def test_from_deploy_to_remove(server: Server, pointed: Callable[..., None], cli: Cli) -> None:
    pointed(server)
    assert cli("target", "test", "--json").json["version"] == "v0.7.1"
    ask = ("deploy", server.models["qwen3-0.6b"], "--name", "old", "--target", "lab", "--json")
    body = cli(*ask, "--dry-run").json["launch"]["body"]
    assert body["backend"] == "vllm"
    assert "cluster_id" not in body
    done = cli(*ask)
    assert done.code == 0, done.out + done.err
    there = server.model("old")
    assert {key: there[key] for key in body if key != "description"} == {
        key: value for key, value in body.items() if key != "description"
    }
    question = {"model": "old", "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]}
    said = call(server.url, "POST", "/v1/chat/completions", question, server.keys["all"])
    assert said["usage"]["completion_tokens"] > 0
    tested = cli("route", "test", "old", "--json")
    assert tested.json["ok"] is True, tested.out
    text = cli("logs", "old").out
    assert "stand-in engine" in text
    assert "must_never_be_shown" not in text
    assert not any(line.startswith(("PATH=", "HOME=")) for line in text.splitlines())
    assert cli("stop", "old", "--drain", "0").code == 0
    assert server.rows("model-instances") == []
    assert cli("restart", "old", "--drain", "0").code == 0
    same = {key: there[key] for key in ("name", "source", "local_path")}
    server.ask("PUT", f"/models/{there['id']}", {**same, "replicas": 0})
    row = cli("list", "--json").json["deployments"][0]
    assert (row["state"], row["reason"]) == ("stopped", "it was stopped on lab")
    assert cli("start", "old").code == 0
    assert cli("remove", "old", "--yes", "--drain", "0").code == 0
    assert server.rows("models") == []
    assert cli("route", "list", "--json").json["routes"] == []


def test_an_engine_that_fails(server: Server, pointed: Callable[..., None], cli: Cli) -> None:
    pointed(server)
    done = cli(
        "deploy", server.models["qwen3-0.6b"], "--name", "bad", "--target", "lab",
        "--env", "FAIL_WITH=3", "--json",
    )  # fmt: skip
    assert (done.code, done.json["error"]["code"]) == (5, "restart_loop"), done.out
    assert "exited with code 3" in done.json["error"]["message"]
    assert cli("list", "--json").json["deployments"][0]["state"] == "failed"
    assert server.rows("model-instances") == []
