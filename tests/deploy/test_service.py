"""Deployments that come back after a reboot, and the systemd unit that sees to it."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from conftest import REPOSITORY, Ran
from support.engine_processes import eventually, living

from modelscan.deploy.boot import serve_unit_text, unit_text
from modelscan.deploy.deployments import Deployments
from modelscan.state.config import Config
from modelscan.supervisor.rundir import RunDir

pytest_plugins = ("support.engine_fixtures",)


def check(ran: Ran, schema: str) -> Any:
    assert ran.code == 0, ran.out + ran.err
    document = json.loads((REPOSITORY / f"modelscan/schemas/{schema}.json").read_text())
    jsonschema.validate(ran.json, document)
    return ran.json


def test_what_ran_at_the_crash_runs_again_and_what_was_stopped_does_not(
    run_in_process: Callable[..., Ran], config: Config, home: Path, model_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for name in ("one", "two", "rests"):
        arguments = ("deploy", str(model_file), "--name", name, "--context", "512")
        assert run_in_process(*arguments, "--restart", "no").code == 0
    assert run_in_process("stop", "rests").code == 0
    assert Deployments(config).interrupted() == ()
    for name, number in (("one", signal.SIGKILL), ("two", signal.SIGTERM)):  # a shutdown's two ways
        running = RunDir(config.paths.deployments_dir / name).running()
        assert running is not None
        os.kill(running.supervisor.pid, number)
    eventually(lambda: living(home) == [])
    monkeypatch.setattr("modelscan.targets.local.readiness.boot_id", lambda: "after-the-reboot")
    assert Deployments(config).interrupted() == ("one", "two")
    assert run_in_process("list", "-q").code == 0  # a look in between writes down what it sees
    assert Deployments(config).interrupted() == ("one", "two")
    done = check(run_in_process("service", "run", "--json"), "service.run")
    assert [(row["name"], row["state"]) for row in done["deployments"]] == [
        ("one", "running"), ("two", "running"),
    ]  # fmt: skip
    assert check(run_in_process("service", "run", "--json"), "service.run")["deployments"] == []
    for name in ("one", "two", "rests"):
        assert run_in_process("remove", name, "--yes").code == 0


def test_a_home_without_deployments(run_in_process: Callable[..., Ran]) -> None:
    assert check(run_in_process("service", "run", "--json"), "service.run")["deployments"] == []


def test_the_unit(tmp_path: Path) -> None:
    home = str(tmp_path / "with space, 100% and $HOME")
    text = unit_text({"MODELSCAN_HOME": home, "PATH": "/usr/bin", "OPENAI_API_KEY": "secret-key"})
    assert "secret-key" not in text
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(text)
    assert unit["Install"]["wantedby"] == "default.target"
    assert shlex.split(unit["Service"]["execstart"])[1:] == ["-m", "modelscan", "service", "run"]
    (line,) = (line for line in text.splitlines() if "MODELSCAN_HOME" in line)
    word = shlex.split(line.partition("=")[2])[0]
    assert word.replace("%%", "%") == f"MODELSCAN_HOME={home}"


def test_install_and_uninstall(
    run_in_process: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for systemctl notes what it is asked."""
    said = tmp_path / "said"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {said}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    unit = tmp_path / "config/systemd/user/modelscan.service"
    found = check(run_in_process("service", "install", "--json"), "service.install")
    assert found == {
        "schema": "modelscan.service.install/1", "unit": str(unit), "installed": True,
        "enabled": True, "warnings": [],
    }  # fmt: skip
    assert said.read_text() == "--user daemon-reload\n--user enable modelscan.service\n"
    assert "Environment=" in unit.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")
    ran = run_in_process("service", "install")
    assert "systemctl --user enable modelscan.service" in ran.out + ran.err
    found = check(run_in_process("service", "uninstall", "--json"), "service.uninstall")
    assert not found["installed"]
    assert not unit.exists()


def test_the_unit_of_the_endpoint(
    run_in_process: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = serve_unit_text(["--tls-cert", "/my $cert%.pem"], {"OPENAI_API_KEY": "secret-key"})
    assert "secret-key" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("ExecStart="))
    assert shlex.split(line)[-2:] == ["--tls-cert", "/my $$cert%%.pem"]
    done = tmp_path / "done"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {done}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    words = ("service", "install", "--serve", "--json", "--", "--port", "8901")
    found = check(run_in_process(*words), "service.install")
    unit = Path(found["unit"])
    assert unit.name == "modelscan-serve.service"
    assert unit.read_text().count('"serve" "--port" "8901"') == 1
    assert "--user enable --now modelscan-serve.service" in done.read_text()
    assert run_in_process("service", "install", "--serve", "--", "--prot", "1").code == 2
    assert run_in_process("service", "install", "--", "--port", "1").code == 2
    removed = check(
        run_in_process("service", "uninstall", "--serve", "--json"), "service.uninstall"
    )
    assert not removed["installed"]


def test_without_systemd(
    run_in_process: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run_in_process("service", "install")
    assert ran.code == 2
    assert "modelscan service run" in ran.err
