"""For tests that start real engines: a model, the processes of a home, and a clean end."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tiny_gguf import write_tiny_gguf

from modelscan.engines import spawn
from modelscan.engines.rundir import RunDir
from modelscan.state.config import Config, load


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that loads in a few milliseconds."""
    return write_tiny_gguf(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture
def home(clean_environment: Path) -> Iterator[Path]:
    """MODELSCAN_HOME; whatever still runs there at the end is ended, and that is an error."""
    yield clean_environment
    left = living(clean_environment)
    for folder in (clean_environment / "state" / "deployments").glob("*"):
        spawn.stop(RunDir(folder), grace_s=1.0)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def config(home: Path) -> Config:
    """The settings of that home."""
    return load()


def living(home: Path) -> list[int]:
    """Processes (supervisors and engines) that belong to a home, by what the kernel says."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        ours = str(home).encode()
        is_engine = any(w.startswith(b"modelscan.engines.supervisor") for w in words)
        if is_engine and any(w.startswith(ours) for w in words) and state not in ("Z", "X"):
            found.append(int(entry.name))
    return found


def eventually(check: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """The first true value of ``check``; fails the test after the time limit."""
    deadline = time.monotonic() + timeout_s
    while not (value := check()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s")
        time.sleep(0.02)
    return value
