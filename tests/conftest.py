"""Every test gets its own home, a clean environment and no network but loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# A second conftest.py would hide this one from ``from conftest import …``.
pytest_plugins = (
    "support.gateway_fixtures", "support.postgres_fixtures", "support.web_fixtures",
)  # fmt: skip
REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"
_KEEP = {
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "CI",
    "PYTHONPATH",
}


# A run in the background (nohup, CI) may ignore SIGINT, and its children would inherit that: the
# commands that tests interrupt must be interruptible.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No developer's variable reaches a test; MODELSCAN_HOME is a temporary folder."""
    for name in list(os.environ):
        if name not in _KEEP and not name.startswith(("PYTEST_", "COV_")):
            monkeypatch.delenv(name)
    home = tmp_path / "modelscan-home"
    monkeypatch.setenv("MODELSCAN_HOME", str(home))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf-home"))
    for name in ("HF_ENDPOINT", "MODELSCOPE_ENDPOINT"):  # nothing answers there
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return home


def _is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # unix sockets
    host = str(address[0])
    return host.startswith("127.") or host in {"::1", "localhost", ""}


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that tries to leave the machine fails."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_loopback(address):
            raise AssertionError(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli() -> Callable[..., Ran]:
    """Run ``python -m modelscan ARGS`` as a real process, as a user would."""

    def run(
        *args: str,
        env: dict[str, str] | None = None,
        timeout: float = 900,  # ends a hang; no measure of speed
        cwd: Path | None = None,
        stdin: str | None = None,
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "modelscan", *args],
            capture_output=True, text=True, timeout=timeout, check=False,
            env={**os.environ, **(env or {})}, cwd=cwd or REPOSITORY, input=stdin or "",
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def run_in_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process: quick, for the many cases that need no real one."""
    from modelscan.cli.app import run as entry

    def run(*args: str) -> Ran:
        code = entry(list(args))
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def shared() -> Iterator[Path]:
    """../shared where it is there (``make test-shared``); skips elsewhere."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not here")
    yield SHARED
