"""Every example runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

from modelscan.bench.dataset import read_dataset
from modelscan.bench.workload_file import workload_file

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture
def deployed(cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The demo model, running; ``modelscan`` and ``python3`` are this environment's."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    ran = cli("deploy", "demo", "--context", "1024", "--yes")
    assert ran.code == 0, ran.err
    yield
    assert cli("remove", "demo", "--yes").code == 0


def test_clients_get_a_sensible_answer(deployed: None) -> None:
    """curl, and the openai library with streaming."""
    for command in ([str(EXAMPLES / "chat.sh")], [sys.executable, str(EXAMPLES / "chat.py")]):
        if command[0].endswith(".sh") and shutil.which("curl") is None:
            continue
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "model" in done.stdout.lower()
        assert len(done.stdout.split()) >= 5


def test_the_example_routing_file_is_valid(cli: Callable[..., Ran]) -> None:
    """No error; the warnings are that its deployment and its keys are not here."""
    env = {"MODELSCAN_ROUTING_FILE": str(EXAMPLES / "routing.yaml")}
    ran = cli("route", "validate", "--json", env=env)
    assert (ran.code, ran.json["routes"]) == (0, 4)
    messages = [finding["message"] for finding in ran.json["findings"]]
    assert messages == [
        "coder: its deployment 'coder' is not recorded on this machine",
        "big: the variable GPUSTACK_API_KEY is not set",
        "cloud: the variable OPENROUTER_API_KEY is not set",
        "router: none of the variables HUGGINGFACE_API_KEY, HF_TOKEN is set",
    ]


def test_the_example_overlay_is_read(cli: Callable[..., Ran], clean_environment: Path) -> None:
    """A catalog file of one's own shows up in ``catalog info``."""
    folder = clean_environment / "config" / "catalogs"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLES / "overlay.toml", folder / "mine.toml")
    ran = cli("catalog", "sources", "--json")
    assert ran.code == 0, ran.err
    assert cli("catalog", "list", "--source", "user", "--json").json["total"] >= 1


def test_every_example_is_listed() -> None:
    """The table of examples is complete."""
    text = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.iterdir():
        if path.name != "README.md":
            assert path.name in text, path.name


def _readme_session() -> list[tuple[str, list[str]]]:
    """The commands of the README's session, each with the lines it shows, without the gaps."""
    text = (REPOSITORY / "README.md").read_text()
    session = text.partition("```console\n")[2].partition("```")[0]
    blocks = session.split("$ ")[1:]
    cut = [block.replace("…", "").splitlines() for block in blocks]
    return [(lines[0], [line for line in lines[1:] if line]) for lines in cut]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the session uses curl")
def test_the_session_of_the_readme(
    cli: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed literally (but for the port, which may be taken here), it shows what it says."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    session = _readme_session()
    assert session[-1][0] == "modelscan remove demo --yes"
    for command, shown in session:
        typed = command.replace("41000", port)
        done = subprocess.run(typed, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = " ".join(done.stdout.split())
        for line in shown:
            assert " ".join(line.split()).replace("41000", port) in said, done.stdout
    assert cli("list", "-q").out == ""


def test_the_example_prompts_are_read() -> None:
    """The workload and the data set of docs/how-to/bench.md."""
    workload = workload_file(EXAMPLES / "bench-workload.yaml")
    assert [case.id for case in workload.cases] == ["how_long", "as_json"] and workload.is_checked
    lines = (EXAMPLES / "bench-prompts.jsonl").read_text().splitlines()
    assert [len(case.turns) for case in read_dataset(lines, "x.jsonl", None).cases] == [1, 1, 2]
