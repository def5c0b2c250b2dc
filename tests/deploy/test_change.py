"""``set`` and ``upgrade``: planned, restarted, verified, and as before where that fails."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Ran
from support.engine_processes import living
from support.fake_hub import FakeHub

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
REPO = "demo/tiny-GGUF"


@pytest.fixture
def demo(run_in_process: Run, home: Path) -> Run:
    assert run_in_process("deploy", "demo", "-q").code == 0
    return run_in_process


def shown(run: Run, name: str = "demo") -> dict[str, Any]:
    return dict(run("show", name, "--json").json["deployment"])


def served_context(row: dict[str, Any]) -> int:
    with urllib.request.urlopen(f"{row['endpoint']}/props", timeout=60) as answer:
        return int(json.load(answer)["default_generation_settings"]["n_ctx"])


def test_a_context_is_changed_and_other_wishes_stay(demo: Run) -> None:
    assert demo("set", "demo", "--parallel", "2", "--param", "cache-reuse=64").code == 0
    before = shown(demo)
    done = demo("set", "demo", "--context", "512", "--json")
    assert done.code == 0, done.out
    assert done.json["changed"] is True
    after = shown(demo)
    assert (after["context_tokens"], after["port"]) == (512, before["port"])
    assert served_context(after) == 512
    argv = demo("show", "demo", "--json").json["launch"]["argv"]
    assert argv[argv.index("--parallel") + 1] == "2"
    assert argv[argv.index("--cache-reuse") + 1] == "64"
    assert demo("set", "demo", "--drop-param", "cache-reuse").code == 0
    assert "--cache-reuse" not in demo("show", "demo", "--json").json["launch"]["argv"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--param", "no-such-option=1"],
        ["--quantization", "Q4_K_M"],
        ["--port", "99999"],
        ["--replicas", "2"],
        [],
    ],
)
def test_a_refused_change_stops_nothing(demo: Run, wrong: list[str]) -> None:
    before = shown(demo)
    refused = demo("set", "demo", *wrong)
    assert refused.code in (2, 3)
    assert "hint:" in refused.err
    assert shown(demo)["pid"] == before["pid"]


def test_an_engine_that_fails_with_the_change_runs_again_as_before(demo: Run, home: Path) -> None:
    """A memory limit that the engine cannot start with."""
    before = shown(demo)
    failed = demo("set", "demo", "--memory-limit", "20MiB", "--restart", "no")
    assert failed.code != 0
    assert "demo runs again as before" in failed.err
    after = shown(demo)
    assert (after["state"], after["context_tokens"]) == ("running", before["context_tokens"])
    assert after["restart"] == "on-failure"
    assert demo("route", "test", "demo").code == 0
    assert len(living(home)) == 2


def test_a_stopped_deployment_is_only_planned(demo: Run) -> None:
    assert demo("stop", "demo").code == 0
    assert demo("set", "demo", "--context", "512").code == 0
    assert (shown(demo)["state"], shown(demo)["context_tokens"]) == ("stopped", 512)
    assert demo("start", "demo").code == 0
    assert served_context(shown(demo)) == 512


@pytest.fixture
def hub(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, model_file: Path
) -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.add(REPO, {"tiny-F32.gguf": model_file.read_bytes()})
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield running


def test_newer_weights_are_fetched_and_started(
    run_in_process: Run, hub: FakeHub, model_file: Path
) -> None:
    run = run_in_process
    assert run("deploy", f"hf:{REPO}", "--json").code == 0
    first = run("show", "tiny-gguf", "--json").json
    assert "has the newest weights already" in run("upgrade", "tiny-gguf").err
    hub.add(REPO, {"tiny-F32.gguf": model_file.read_bytes(), "README.md": b"new"})
    assert run("upgrade", "tiny-gguf").code == 0
    second = run("show", "tiny-gguf", "--json").json
    assert second["plan"]["revision"] != first["plan"]["revision"]
    assert second["deployment"]["pid"] != first["deployment"]["pid"]


def test_weights_that_do_not_start_are_rolled_back(
    run_in_process: Run, hub: FakeHub, model_file: Path
) -> None:
    run = run_in_process
    assert run("deploy", f"hf:{REPO}", "--json").code == 0
    first = run("show", "tiny-gguf", "--json").json
    hub.add(REPO, {"tiny-F32.gguf": model_file.read_bytes()[:-4096]})
    failed = run("upgrade", "tiny-gguf")
    assert failed.code != 0
    second = run("show", "tiny-gguf", "--json").json
    assert second["deployment"]["state"] == "running"
    assert second["plan"]["revision"] == first["plan"]["revision"]


def test_what_comes_from_no_hub_cannot_be_upgraded(demo: Run) -> None:
    refused = demo("upgrade", "demo")
    assert refused.code == 2
    assert "comes from no hub" in refused.err
