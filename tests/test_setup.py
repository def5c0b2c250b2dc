"""scripts/setup.sh with a stand-in Python: what it makes, when it makes it anew, what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import REPOSITORY

# Makes an "environment" whose python is this same script; every call is noted in $CALLS.
STAND_IN = """#!/bin/sh
echo "$0 $*" >>"$CALLS"
case "$1 ${2:-}" in
    "-c "*) exit 0 ;;
    "-m venv") mkdir -p "$3/bin"; cp "$PYTHON" "$3/bin/python"; touch "$TMPDIR/unpacked" ;;
    "-m pip") if [ "$3" = install ]; then sleep "${SLOW:-0}"; fi ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder (with a space in its name) that has what set-up reads."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(REPOSITORY / "scripts/setup.sh", root / "scripts")
    (root / "pyproject.toml").touch()
    os.utime(root / "pyproject.toml", (1, 1))
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    for name, value in {
        "PYTHON": python,
        "CALLS": tmp_path / "calls",
        "TMPDIR": tmp_path / "tmp",
    }.items():
        monkeypatch.setenv(name, str(value))
    return root


def _setup(checkout: Path) -> list[str]:
    """What the stand-in was asked for by one set-up."""
    calls = checkout.parent / "calls"
    calls.write_text("")
    subprocess.run(["sh", "scripts/setup.sh", "local"], cwd=checkout, check=True, timeout=60)
    assert list((checkout.parent / "tmp").iterdir()) == []
    return calls.read_text().splitlines()


def test_the_second_time_nothing_is_done(checkout: Path) -> None:
    assert _setup(checkout)[-1].endswith("-e .[local]")
    assert _setup(checkout) == []


def test_an_environment_whose_making_was_interrupted_is_made_anew(checkout: Path) -> None:
    _setup(checkout)
    broken = checkout / ".venv/bin/python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    next((checkout / ".venv").glob(".installed-*")).unlink()
    assert any("-m venv" in call for call in _setup(checkout))


def test_a_moved_checkout_is_installed_again(checkout: Path) -> None:
    _setup(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    assert _setup(moved)[-1].endswith("-e .[local]")
    assert _setup(moved) == []


def test_ctrl_c_leaves_no_temporary_files_and_no_stamp(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLOW", "30")
    process = subprocess.Popen(
        ["sh", "scripts/setup.sh", "local"], cwd=checkout, start_new_session=True
    )
    calls = checkout.parent / "calls"
    deadline = time.monotonic() + 30
    while not (calls.exists() and "install" in calls.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(120) == 130
    assert list((checkout.parent / "tmp").iterdir()) == []
    monkeypatch.delenv("SLOW")
    assert _setup(checkout)[-1].endswith("-e .[local]")
