"""A crashed engine comes back by itself, an unused one goes; list and show tell the truth."""

from __future__ import annotations

import functools
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually, living

from modelscan.core.end_cause import EndCause
from modelscan.core.errors import UsageError
from modelscan.deploy.deployments import Deployments
from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.supervisor.activity import IdleWatch
from modelscan.supervisor.rundir import ProcessSpec, RunDir
from modelscan.targets.local import process_spec as local

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two restarts, soon."""
    spec = functools.partial(ProcessSpec, restart_delay_s=0.02, restart_limit=2)
    monkeypatch.setattr(local, "ProcessSpec", spec)


def deploy(run: Run, model_file: Path, *options: str) -> dict[str, Any]:
    done = run("deploy", str(model_file), *options, "--json")
    assert done.code == 0, done.out + done.err
    return dict(done.json["deployment"])


def only(run: Run) -> dict[str, Any]:
    rows = run("list", "--json").json["deployments"]
    assert len(rows) == 1
    return dict(rows[0])


def ask(port: int, path: str, body: dict[str, Any]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}


@pytest.mark.usefixtures("quick")
def test_a_crash_is_undone_and_told(run: Run, model_file: Path, config: Config, home: Path) -> None:
    before = deploy(run, model_file)
    assert (before["restart"], before["restarts"], before["ttl_s"]) == ("on-failure", 0, None)
    with Store.open(config.paths.store_file) as store:  # figures that a second run cannot have
        row = store.get("tiny")
        assert row is not None and row.measured is not None
        first = row.measured.total_bytes
        store.put(replace(row, measured=replace(row.measured, total_bytes=1, load_s=-1.0)))
    os.kill(before["pid"], signal.SIGKILL)
    row = eventually(lambda: (r := only(run))["health"] == "ok" and r["restarts"] == 1 and r)
    assert row["state"] == "running" and row["port"] == before["port"]
    assert row["pid"] != before["pid"]
    assert "restart 1 of 2 was made because the engine was killed by signal 9" in row["reason"]
    assert ask(row["port"], "/v1/chat/completions", {"model": "tiny", **CHAT}) == 200
    shown = run("show", "tiny", "--json").json["measured"]
    assert (shown["total_bytes"], shown["load_s"] > 0) == (first, True)  # of the present run
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and route.enabled
    assert len(living(home)) == 2
    assert "on-failure, restarts so far: 1" in run("show", "tiny").out
    assert run("stop", "tiny").code == 0
    assert only(run)["state"] == "stopped" and living(home) == []


@pytest.mark.usefixtures("quick")
def test_too_many_crashes_are_a_failure_with_its_reason(
    run: Run, model_file: Path, config: Config, home: Path
) -> None:
    row = deploy(run, model_file)
    for count in (1, 2):
        os.kill(row["pid"], signal.SIGKILL)
        row = eventually(
            lambda n=count: (r := only(run))["health"] == "ok" and r["restarts"] == n and r
        )
    os.kill(row["pid"], signal.SIGABRT)
    row = eventually(lambda: (r := only(run))["state"] == "failed" and r)
    assert row["reason"].startswith("the engine was killed by signal 6 (SIGABRT)")
    assert row["reason"].endswith("(after 2 restarts)")
    assert (row["restarts"], row["pid"]) == (2, None)
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and not route.enabled
    assert living(home) == []
    assert run("start", "tiny").code == 0
    again = only(run)
    assert (again["state"], again["restarts"], again["reason"]) == ("running", 0, None)


def test_another_policy_is_another_request(run: Run, model_file: Path) -> None:
    deploy(run, model_file)
    refused = run("deploy", str(model_file), "--restart", "always", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (2, "name_taken")
    assert run("deploy", str(model_file), "--ttl", "soon").code == 2
    assert run("deploy", str(model_file), "--ttl", "0").code == 2


def test_an_unused_deployment_is_unloaded_and_comes_back(
    run: Run, model_file: Path, config: Config, home: Path
) -> None:
    row = deploy(run, model_file, "--ttl", "1.2s")
    assert row["ttl_s"] == 1.2
    # Looking at it (list asks /health) is not using it.
    row = eventually(lambda: (r := only(run))["state"] == "stopped" and r)
    assert row["reason"] == "idle: no request for 1.2 s"
    assert living(home) == []
    route = load_routes(config.routing_file).route("tiny")
    assert route is not None and not route.enabled
    service = Deployments(config)
    assert service.show("tiny").end_cause is EndCause.IDLE
    assert service.wake("tiny").changed
    assert not service.wake("tiny").changed
    assert run("stop", "tiny").code == 0
    with pytest.raises(UsageError, match="stopped"):
        service.wake("tiny")  # on purpose


@pytest.mark.parametrize("task", ["chat", "embedding"])
def test_requests_are_use_and_looking_is_not(
    run: Run, model_file: Path, home: Path, task: str
) -> None:
    options = ["--embedding"] if task == "embedding" else []
    port = deploy(run, model_file, *options)["port"]
    path, body = ("/v1/embeddings", {"input": "Hi"}) if options else ("/v1/chat/completions", CHAT)
    rundir = RunDir(home / "state" / "deployments" / "tiny")
    spec = rundir.spec()
    assert spec is not None
    watch = IdleWatch(rundir, replace(spec, idle_s=0.4), None)
    for _ in range(6):  # longer than it may be idle
        assert ask(port, path, body) == 200
        time.sleep(0.11)  # its next look is due
        assert not watch.is_idle()
    eventually(lambda: only(run)["health"] == "ok" and watch.is_idle())


def test_callers_that_wake_it_at_once_start_it_once(
    run: Run, model_file: Path, config: Config, home: Path
) -> None:
    deploy(run, model_file, "--ttl", "0.6")
    eventually(lambda: only(run)["state"] == "stopped")
    pids: list[int | None] = []
    service = Deployments(config)
    callers = [
        threading.Thread(target=lambda: pids.append(service.wake("tiny").deployment.pid))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(pids) == 4 and len(set(pids)) == 1
