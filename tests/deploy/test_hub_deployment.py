"""deploy hf:ORG/REPO: the plan's file is fetched from a hub, verified, started and routed to."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Ran
from support.engine_processes import eventually, living
from support.fake_hub import FakeHub
from support.tiny_gguf import split_gguf

pytest_plugins = ("support.engine_fixtures",)

Run = Callable[..., Ran]
REPO = "demo/tiny-GGUF"


@pytest.fixture
def hub(
    monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path, model_file: Path
) -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.add(REPO, {"tiny-F32.gguf": model_file.read_bytes(), "README.md": b"tiny"})
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield running


def deploy(run: Run, *options: str) -> Ran:
    return run("deploy", f"hf:{REPO}", "--json", *options)


def test_weights_come_from_the_hub(cli: Run, hub: FakeHub, tmp_path: Path) -> None:
    done = deploy(cli, "--progress")
    assert done.code == 0, done.out + done.err
    events = [json.loads(line) for line in done.out.splitlines()]
    fetched = [event for event in events if event["event"] == "downloading"][-1]
    assert (fetched["name"], fetched["progress"]) == ("tiny-gguf", 100.0)
    assert fetched["done_bytes"] == fetched["total_bytes"] > 300_000
    last = events[-1]
    assert last["deployment"]["state"] == "running"
    assert last["deployment"]["name"] == "tiny-gguf"
    assert last["plan"]["revision"]
    argv = cli("show", "tiny-gguf", "--json").json["launch"]["argv"]
    assert argv[argv.index("--model") + 1].startswith(str(tmp_path / "hf"))

    before = len(hub.log)
    assert cli("stop", "tiny-gguf").code == 0
    assert cli("start", "tiny-gguf").code == 0
    assert len(hub.log) == before  # a start asks nobody


@pytest.mark.parametrize(("prefix", "side"), [("hf:", "hf"), ("ms:", "ms")])
def test_a_split_model_in_a_folder_of_the_repository(
    cli: Run, hub: FakeHub, prefix: str, side: str
) -> None:
    """All its parts, nothing of the other format; the engine gets the first one."""
    names = [f"F32/tiny-F32-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    parts = dict(zip(names, split_gguf(3), strict=True))
    hub.add("demo/split-GGUF", {**parts, "tiny-F16.gguf": b"GGUF"}, on=side)
    done = cli("deploy", f"{prefix}demo/split-GGUF", "--quantization", "F32", "--json")
    assert done.code == 0, done.out + done.err
    argv = cli("show", "split-gguf", "--json").json["launch"]["argv"]
    first = Path(argv[argv.index("--model") + 1])
    assert first.name == "tiny-F32-00001-of-00003.gguf"
    assert [(first.parent / Path(name).name).read_bytes() for name in names] == [*parts.values()]
    assert not (first.parent.parent / "tiny-F16.gguf").exists()
    assert cli("remove", "split-gguf", "--yes").code == 0


def test_a_dry_run_fetches_no_weights(cli: Run, hub: FakeHub) -> None:
    dry = deploy(cli, "--dry-run")
    assert dry.code == 0, dry.out + dry.err
    argv = dry.json["launch"]["argv"]
    assert argv[argv.index("--model") + 1].endswith("tiny-F32.gguf")
    assert not list(Path(argv[argv.index("--model") + 1]).parent.parent.glob("**/*.gguf"))


def test_a_download_that_fails_leaves_nothing_and_can_be_tried_again(
    run_in_process: Run, hub: FakeHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, found before the first byte."""
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
        failed = deploy(run_in_process)
    assert failed.code == 1, failed.out
    assert failed.json["error"]["code"] == "no_space"
    assert run_in_process("list", "--json").json["deployments"] == []
    assert deploy(run_in_process).code == 0
    assert len(living(home)) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_download_that_is_interrupted(
    cli: Run, hub: FakeHub, home: Path, number: signal.Signals
) -> None:
    hub.bytes_per_s = 100_000
    hub.fault("/cdn", "throttle")
    command = subprocess.Popen(
        [sys.executable, "-m", "modelscan", "deploy", f"hf:{REPO}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip

    def states() -> list[str]:
        return [row["state"] for row in cli("list", "--json").json["deployments"]]

    eventually(lambda: states() == ["downloading"], 30)
    command.send_signal(number)
    command.wait(120)
    assert states() == (["failed"] if number is signal.SIGKILL else [])
    hub.heal()
    assert deploy(cli).code == 0
    assert states() == ["running"]
