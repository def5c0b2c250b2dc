"""Fixtures for tests that start real engines: a model, a home, and a clean end.

A test module asks for them with ``pytest_plugins = ("support.engine_fixtures",)``.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine_processes import living
from support.tiny_gguf import write_tiny_gguf

from modelscan.state.config import Config, load
from modelscan.supervisor import spawn
from modelscan.supervisor.rundir import RunDir


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
