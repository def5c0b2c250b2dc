"""Stop means stop, and drain means drain: nothing is cut without a word, nothing is half stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.streams import streams

from modelscan.routing.file import load as load_routes
from modelscan.state.config import Config

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]


@pytest.fixture
def run(run_in_process: Run, home: Path) -> Run:
    return run_in_process


@pytest.fixture
def deployed(run: Run, model_file: Path) -> dict[str, Any]:
    done = run("deploy", str(model_file), "--json")
    assert done.code == 0, done.out
    return dict(done.json["deployment"])


def test_a_drain_waits_for_running_and_for_waiting_requests(
    run: Run, deployed: dict[str, Any], home: Path
) -> None:
    with streams(deployed["port"], 3, tokens=1500) as futures:
        done = run("stop", "tiny", "--drain", "120", "--json")
        assert [future.result() for future in futures] == [True, True, True]
    assert done.code == 0
    assert done.json["warnings"] == []
    assert living(home) == []


def test_a_silent_engine_is_busy(run: Run, deployed: dict[str, Any], home: Path) -> None:
    """Suspended, it answers nothing, like one that computes a long batch."""
    with streams(deployed["port"], 3, tokens=1500) as futures:
        os.kill(deployed["pid"], signal.SIGSTOP)
        resume = threading.Timer(2.0, os.kill, (deployed["pid"], signal.SIGCONT))
        resume.start()
        done = run("stop", "tiny", "--drain", "120", "--json")
        assert [future.result() for future in futures] == [True, True, True]
    assert done.code == 0 and done.json["warnings"] == []


def test_what_is_cut_is_told(run: Run, deployed: dict[str, Any], home: Path) -> None:
    with streams(deployed["port"], 3, tokens=100_000) as futures:
        done = run("stop", "tiny", "--drain", "0.5", "--json")
        assert not any(future.result() for future in futures)
    assert done.code == 0
    (warning,) = done.json["warnings"]
    assert "1 running and 2 waiting requests were cut" in warning
    assert living(home) == []
    assert run("start", "tiny").code == 0
    with streams(run("list", "--json").json["deployments"][0]["port"], 1, 100_000) as futures:
        removed = run("remove", "tiny", "--yes", "--drain", "0")
    assert "1 running and 0 waiting requests were cut" in removed.err


def routed(config: Config) -> bool:
    route = load_routes(config.routing_file).route("tiny")
    return route is not None and route.enabled


def test_an_interrupted_stop_changes_nothing(
    run: Run, deployed: dict[str, Any], home: Path, config: Config
) -> None:
    """Killed or interrupted while it drains: ``list`` says what runs, and cuts no request."""
    for number in (signal.SIGKILL, signal.SIGINT):
        with streams(deployed["port"], 1, tokens=1500) as futures:
            command = subprocess.Popen(
                [sys.executable, "-m", "modelscan", "stop", "tiny", "--drain", "100"],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
            eventually(lambda: not routed(config))
            command.send_signal(number)
            command.wait(120)
            (row,) = run("list", "--json").json["deployments"]
            assert (row["state"], row["pid"]) == ("running", deployed["pid"])
            assert routed(config)
            assert futures[0].result()
    assert run("stop", "tiny").code == 0
    assert living(home) == []


def test_a_restart_checks_its_key_before_it_stops_anything(
    run: Run, model_file: Path, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("TINY_KEY", "sk-0123456789abcdef")
    done = run("deploy", str(model_file), "--api-key", "env:TINY_KEY", "--json")
    pid = done.json["deployment"]["pid"]
    monkeypatch.delenv("TINY_KEY")
    refused = run("restart", "tiny", "--drain", "0")
    assert refused.code == 4
    assert "TINY_KEY" in refused.err
    (row,) = run("list", "--json").json["deployments"]
    assert (row["state"], row["pid"]) == ("running", pid)
    assert run("stop", "tiny").code == 0  # without the key
    assert run("start", "tiny").code == 4
    assert run("list", "--json").json["deployments"][0]["state"] == "stopped"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file.unlink(), "no longer exists"),
        (lambda file: file.write_bytes(b""), "is empty"),
        (lambda file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "pointer"),
        (lambda file: file.write_bytes(b"\0" * 5000), "not a GGUF file"),
    ],
)
def test_a_restart_notices_a_damaged_file(
    run: Run, model_file: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model_file.read_bytes())
    pid = run("deploy", str(copy), "--json").json["deployment"]["pid"]
    damage(copy)
    refused = run("restart", "copy", "--json")
    assert refused.code == 1
    assert said in refused.json["error"]["message"]
    (row,) = run("list", "--json").json["deployments"]
    assert (row["state"], row["pid"]) == ("running", pid)
    assert run("remove", "copy", "--yes").code == 0


def test_a_requested_port_that_is_taken_is_named_before_a_start(
    run: Run, model_file: Path, home: Path
) -> None:
    import socket

    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        port = thief.getsockname()[1]
    assert run("deploy", str(model_file), "--port", str(port)).code == 0
    assert run("stop", "tiny").code == 0
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        refused = run("start", "tiny", "--json")
    assert refused.json["error"]["code"] == "port_in_use"
    assert run("list", "--json").json["deployments"][0]["state"] == "stopped"
    assert run("start", "tiny").code == 0
