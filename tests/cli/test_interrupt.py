"""Ctrl-C: the clean-up first, then one word about it, and exit code 130."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Ran
from support.engine_processes import eventually
from support.fake_hub import FakeHub

from modelscan.hub.cache import cache_dir

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
REPO = "demo/tiny-GGUF"


@pytest.fixture
def slow_hub(monkeypatch: pytest.MonkeyPatch, home: Path, model_file: Path) -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.add(REPO, {"tiny-F32.gguf": model_file.read_bytes()})
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        running.bytes_per_s = 50_000
        running.fault("/cdn", "throttle")
        yield running


def begin(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modelscan", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def interrupted(command: subprocess.Popen[str]) -> tuple[str, str]:
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=300)
    assert command.returncode == 130, out + err
    return out, err


def is_fetching(hub: FakeHub) -> bool:
    return bool(hub.seen("/cdn"))


def test_a_pull(slow_hub: FakeHub) -> None:
    command = begin("pull", f"hf:{REPO}")
    eventually(lambda: is_fetching(slow_hub), 30)
    out, err = interrupted(command)
    assert (out, err.strip().splitlines()[-1]) == ("", "interrupted")
    assert "Traceback" not in err
    assert not list(cache_dir().rglob("*.gguf"))  # no file that looks whole


def test_a_deploy_that_downloads(slow_hub: FakeHub, cli: Run) -> None:
    command = begin("deploy", f"hf:{REPO}", "--json")
    eventually(lambda: is_fetching(slow_hub), 30)
    out, err = interrupted(command)
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert json.loads(out)["schema"] == "modelscan.error/1"
    assert "Traceback" not in err
    assert cli("list", "--json").json["deployments"] == []


def test_followed_logs_end_without_a_word_too_much(home: Path, model_file: Path, cli: Run) -> None:
    assert cli("deploy", str(model_file)).code == 0
    command = begin("logs", "tiny", "-f")
    assert command.stdout is not None
    assert command.stdout.readline()
    _, err = interrupted(command)
    assert err == "interrupted\n"
