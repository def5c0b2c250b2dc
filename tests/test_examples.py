"""Every example runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Ran

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
    """No error, no warning."""
    env = {"MODELSCAN_ROUTING_FILE": str(EXAMPLES / "routing.yaml")}
    ran = cli("route", "validate", "--json", env=env)
    assert (ran.code, ran.json["findings"], ran.json["routes"]) == (0, [], 3)


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
