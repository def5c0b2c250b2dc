"""Each local start asks llama.cpp itself; what it said is stored and compared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from conftest import Ran
from support.engine_processes import eventually

from modelscan.core.deployment import Deployment
from modelscan.core.launch import LocalLaunch
from modelscan.deploy.deployments import Deployments
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.supervisor.dry_run.run import MODULE
from modelscan.targets.local.launch_dry_run import start_dry_run

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
ROUNDING = (1 << 20) / 100  # of the engine's log


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


@pytest.fixture
def deployment(run: Run, model_file: Path, config: Config) -> Deployment:
    done = run("deploy", str(model_file), "--context", "512", "--parallel", "2", "--json")
    assert done.code == 0, done.out
    return Deployments(config).show("tiny")


def test_the_stored_estimate_is_the_engines_own(run: Run, deployment: Deployment) -> None:
    shown = run("show", "tiny", "--json").json
    assert shown["estimate"]["basis"] == "exact"
    assert shown["estimate"]["backend_version"]
    parts = {row["part"]: row for row in shown["memory"]}
    for part in ("kv_cache", "compute", "output"):
        assert abs(parts[part]["difference_bytes"]) <= ROUNDING, part
    assert parts["compute"]["difference_bytes"] == 0  # both are the engine's, both rounded
    total = sum(value for value in shown["estimate"]["parts"].values())
    assert shown["estimate"]["total_bytes"] == shown["estimate"]["host"]["total_bytes"] == total


def test_margins_still_learn_from_the_formulas(deployment: Deployment, config: Config) -> None:
    assert deployment.plan is not None and deployment.measured is not None
    computed = deployment.measured.computed
    assert computed is not None
    with Store.open(config.paths.store_file) as store:
        (row,) = store.measurements()
    assert row.estimated_bytes == computed.total_bytes
    assert row.margin_bytes == computed.margin_bytes
    assert row.estimated_bytes != deployment.plan.estimate.total_bytes


def test_a_start_after_a_stop_need_not_ask_again(run: Run, deployment: Deployment) -> None:
    assert start_dry_run(deployment) is None
    assert run("stop", "tiny").code == 0
    assert run("start", "tiny").code == 0
    assert run("show", "tiny", "--json").json["estimate"]["basis"] == "exact"


def test_what_a_dry_run_cannot_size_stays_computed(deployment: Deployment) -> None:
    launch = deployment.launch
    assert deployment.plan is not None and isinstance(launch, LocalLaunch)
    estimate = replace(deployment.plan.estimate, basis="computed")
    fresh = replace(deployment, plan=replace(deployment.plan, estimate=estimate))
    assert start_dry_run(replace(fresh, gpus=(0,))) is None
    assert (
        start_dry_run(replace(fresh, launch=replace(launch, argv=(*launch.argv, "--lora", "x"))))
        is None
    )
    assert start_dry_run(replace(fresh, launch=replace(launch, embedded=False))) is None
    assert start_dry_run(replace(fresh, launch=replace(launch, engine="vllm"))) is None
    pending = start_dry_run(fresh)
    assert pending is not None
    found = pending.result()
    assert found is not None and found.compute_bytes > 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG")
def test_a_dry_run_does_not_outlive_the_command(tmp_path: Path) -> None:
    """It is held at its end until the command ends it; a killed command cannot do that."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, sys.argv[1]], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    held = tmp_path / "held.py"
    held.write_text(
        "import os, time\nfrom modelscan.supervisor.dry_run import child\n"
        "child._limit_process(os.getppid())\nprint('confined', flush=True)\ntime.sleep(60)\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", code, str(held)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent.parent)},
    )  # fmt: skip
    assert command.stdout is not None
    lines = {command.stdout.readline().strip(), command.stdout.readline().strip()}
    pid = next(int(line) for line in lines if line.isdigit())
    command.send_signal(signal.SIGKILL)
    command.wait(120)
    command.stdout.close()
    eventually(lambda: not psutil.pid_exists(pid))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the alarm ends it")
def test_a_dry_run_ends_when_the_command_died_before_it_looked() -> None:
    """Whoever is its parent by then did not ask."""
    gone = subprocess.Popen([sys.executable, "-c", "pass"])
    gone.wait(120)
    child = [sys.executable, "-m", MODULE, str(gone.pid), "--model", "/nowhere.gguf"]
    done = subprocess.run(child, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
