"""kill -9 of the command at any point: the list is right, nothing is orphaned, deploy works again.

Two ways to be cruel. *Steps* kills the command before and after each change that it makes to
the world, one after the other, so that no gap between two changes is left out. *Moments* kills
a real command after random (seeded) times.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually, living

from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]

# Counts the changes a command makes (rows, processes, files, routes) and dies at the chosen one.
_DIES_AT = """
import os, signal, sys
import modelscan.state.files as files
import modelscan.supervisor.spawn as spawn
import modelscan.supervisor.rundir as rundir
import modelscan.routing.file as routes
from modelscan.state.store import Store

chosen, count = int(sys.argv[1]), 0

def deadly(owner, name):
    real = getattr(owner, name)
    def call(*args, **kwargs):
        global count
        for moment in ("before", "after"):
            count += 1
            if count == chosen:
                os.kill(os.getpid(), signal.SIGKILL)
            if moment == "before":
                result = real(*args, **kwargs)
        return result
    setattr(owner, name, call)

deadly(Store, "put")
deadly(Store, "delete")
deadly(spawn, "start")
deadly(spawn, "stop")
deadly(rundir, "write_atomic")
deadly(routes, "write_atomic")
from modelscan.cli.app import run
code = run(sys.argv[2:])
print("changes", count, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


def killed_at(step: int, *arguments: str) -> bool:
    """Whether the command was killed (False: it made fewer changes and ended by itself)."""
    done = subprocess.run(
        [sys.executable, "-c", _DIES_AT, str(step), *arguments],
        capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == -signal.SIGKILL


def check_truth(run: Run, home: Path, config: Config) -> dict[str, Any] | None:
    """What ``list`` says is what is there; returns the row."""
    rows = [row for row in run("list", "--json").json["deployments"] if row["name"] == "tiny"]
    row = rows[0] if rows else None
    if row is None or row["state"] in ("failed", "stopped"):
        eventually(lambda: living(home) == [])
    else:
        assert row["state"] in ("starting", "running"), row
        assert len(eventually(lambda: living(home))) <= 2
    routes = load_routes(config.routing_file)
    assert not routes.errors
    route = routes.route("tiny")
    if row is not None and row["state"] == "running":
        assert route is not None and route.enabled
        assert answers(row["port"])
    if row is None or row["state"] in ("failed", "stopped"):
        assert route is None or not route.enabled
    return row


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    status = connection.getresponse().status
    connection.close()
    return status == 200


def check_recovery(run: Run, home: Path, config: Config, model_file: Path) -> None:
    """The same deploy works now, and after a remove nothing is left."""
    done = run("deploy", str(model_file), "--json")
    assert done.code == 0, done.out
    row = check_truth(run, home, config)
    assert row is not None and row["state"] == "running"
    assert len(living(home)) == 2
    assert run("remove", "tiny", "--yes").code == 0
    assert living(home) == []
    assert load_routes(config.routing_file).routes == ()
    assert list((home / "state" / "deployments").iterdir()) == []


STEPS_OF_A_DEPLOY = 16  # four rows, the spec, the start of the log, the process, the route


@pytest.mark.parametrize("step", range(1, STEPS_OF_A_DEPLOY + 1))
def test_deploy_killed_at_each_step(
    run: Run, home: Path, config: Config, model_file: Path, step: int
) -> None:
    assert killed_at(step, "deploy", str(model_file))
    check_truth(run, home, config)
    check_recovery(run, home, config, model_file)


def test_a_deploy_has_no_more_steps_than_those(run: Run, home: Path, model_file: Path) -> None:
    assert not killed_at(STEPS_OF_A_DEPLOY + 1, "deploy", str(model_file))


@pytest.mark.parametrize("command", [["stop", "tiny"], ["remove", "tiny", "--yes"]])
def test_stop_and_remove_killed_at_each_step(
    run: Run, home: Path, config: Config, model_file: Path, command: list[str]
) -> None:
    for step in range(1, 40):
        assert run("deploy", str(model_file)).code == 0
        if not killed_at(step, *command):
            break
        row = check_truth(run, home, config)
        assert row is None or row["state"] in ("running", "stopped")
    assert 6 < step < 40
    if command[0] == "stop":
        assert run("remove", "tiny", "--yes").code == 0
    assert living(home) == []


def test_start_killed_at_each_step(run: Run, home: Path, config: Config, model_file: Path) -> None:
    assert run("deploy", str(model_file)).code == 0
    for step in range(1, 40):
        assert run("stop", "tiny").code == 0
        if not killed_at(step, "start", "tiny"):
            break
        check_truth(run, home, config)
        assert run("start", "tiny").code == 0
        row = check_truth(run, home, config)
        assert row is not None and row["state"] == "running"
    assert 8 < step < 40
    assert run("remove", "tiny", "--yes").code == 0
    assert living(home) == []


def kill_after(delay_s: float, *arguments: str) -> int:
    command = subprocess.Popen(
        [sys.executable, "-m", "modelscan", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(delay_s)
    command.kill()
    return command.wait(120)


def moments(
    cli: Run, run: Run, home: Path, config: Config, model_file: Path, trials: int, seed: int
) -> None:
    rng = random.Random(seed)
    begun = time.monotonic()
    assert cli("deploy", str(model_file)).code == 0
    whole_s = time.monotonic() - begun
    assert run("remove", "tiny", "--yes").code == 0
    for _ in range(trials):
        kill_after(rng.uniform(0.05, 1.1 * whole_s), "deploy", str(model_file))
        check_truth(run, home, config)
        check_recovery(run, home, config, model_file)


@pytest.mark.timeout(900)
def test_deploy_killed_at_fifty_random_moments(
    cli: Run, run: Run, home: Path, config: Config, model_file: Path
) -> None:
    moments(cli, run, home, config, model_file, trials=50, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(5))
def test_deploy_killed_at_many_random_moments(
    cli: Run, run: Run, home: Path, config: Config, model_file: Path, seed: int
) -> None:
    moments(cli, run, home, config, model_file, trials=20, seed=100 + seed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_lifecycles_under_random_kills(
    run: Run, home: Path, config: Config, model_file: Path
) -> None:
    """Any command, any victim (command, engine, supervisor): the invariants hold each time."""
    rng = random.Random(7)
    commands = (["deploy", str(model_file)], ["stop", "tiny"], ["start", "tiny"],
                ["remove", "tiny", "--yes"], ["deploy", str(model_file), "--no-wait"])  # fmt: skip
    for _ in range(200):
        arguments = rng.choice(commands)
        if rng.random() < 0.5:
            kill_after(rng.uniform(0.05, 0.6), *arguments)
        else:
            run(*arguments)
        if rng.random() < 0.3:
            for pid in rng.sample(alive := living(home), k=min(1, len(alive))):
                os.kill(pid, signal.SIGKILL)
                time.sleep(rng.uniform(0.02, 0.1))  # for the kernel to tear it down
        eventually(lambda: _settled(run))
        check_truth(run, home, config)
    check_recovery(run, home, config, model_file)


def _settled(run: Run) -> bool:
    rows = run("list", "--json").json["deployments"]
    return all(row["state"] in ("failed", "stopped") or row["health"] == "ok" for row in rows)
