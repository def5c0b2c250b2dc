"""Files are replaced atomically; locks vanish with their holder; failures are explained."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.state import files
from modelscan.state.files import ensure_dir, open_private, write_atomic
from modelscan.state.locks import hold
from modelscan.state.paths import paths


def test_write_keeps_mode_and_links(tmp_path: Path) -> None:
    """A routing file linked from a dotfiles folder stays linked; permission bits stay."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    write_atomic(link, "new")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("new", 0o640)
    write_atomic(tmp_path / "a" / "b", b"x")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o600


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk: the old content, an explanation, no temporary file."""
    target = tmp_path / "file"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(ModelscanError) as caught:
        write_atomic(target, "new")
    assert "No space left" in caught.value.message
    assert caught.value.hint
    assert (target.read_text(), [p.name for p in tmp_path.iterdir()]) == ("old", ["file"])


def test_killed_in_the_middle_the_file_is_old_or_new(tmp_path: Path) -> None:
    """kill -9 at random moments of a writing loop: always a whole file."""
    target = tmp_path / "file"
    code = (
        "import sys, itertools; from pathlib import Path; from modelscan.state.files import ensure_dir, open_private, write_atomic\n"
        "for n in itertools.count(): write_atomic(Path(sys.argv[1]), f'{n % 10}' * 100_000)"
    )
    for delay in (0.0, 0.01, 0.02, 0.03):
        process = subprocess.Popen([sys.executable, "-c", code, str(target)])
        while not target.exists():
            time.sleep(0.005)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        text = target.read_text()
        assert len(text) == 100_000
        assert len(set(text)) == 1


def test_a_lock_excludes_and_vanishes_with_its_holder(tmp_path: Path) -> None:
    """A second holder waits, is told who keeps it, and gets it when the first is killed."""
    lock = tmp_path / "x.lock"
    code = (
        "import sys, time; from pathlib import Path; from modelscan.state.locks import hold\n"
        "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process, process.stdout:
        assert process.stdout.readline() == b"held\n"
        with (
            pytest.raises(ModelscanError, match="another modelscan command"),
            hold(lock, timeout_s=0.1),
        ):
            pass
        process.kill()
        process.wait()
        with hold(lock, timeout_s=60):
            assert lock.exists()


def test_home_moves_everything_and_asking_creates_nothing(tmp_path: Path) -> None:
    """MODELSCAN_HOME is the parent of all four folders."""
    where = paths({"MODELSCAN_HOME": str(tmp_path / "home")})
    for folder in (where.config, where.cache, where.data, where.state, where.routing_file):
        assert (tmp_path / "home") in folder.parents
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_ours_is_writable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = ensure_dir(tmp_path / "home" / "state" / "deployments")
        write_atomic(folder / "row", "x")
        open_private(folder / "log").close()
        with hold(folder / "a.lock"):
            modes = {p: p.stat().st_mode & 0o777 for p in (tmp_path / "home").rglob("*")}
    finally:
        os.umask(before)
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
    assert {p.name for p, mode in modes.items() if mode & 0o077} == set()


def test_a_home_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UsageError, match=r"MODELSCAN_HOME b'/x/\\xff' is not UTF-8"):
        paths({"MODELSCAN_HOME": os.fsdecode(b"/x/\xff")})
