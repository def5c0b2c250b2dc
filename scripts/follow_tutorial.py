"""Follows docs/tutorial as a new user does, with nothing but what the pages install.

    python -m scripts.follow_tutorial        # make tutorial

The wheel is built and installed with the extras of the first page into a new environment. The
console blocks then run in an empty home with a bare environment; with bubblewrap (Debian:
bubblewrap) in a sandbox that has the system's programs, this environment, and no network but its
own loopback. Every line that a page shows must appear. Exit status 1 where one does not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from scripts.check_wheel import build
from tests.support.console_blocks import Ended, Typed, commands, missing, run, with_free_ports

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = ("first-model.md", "first-model-cuda.md")
_DEADLINE_S = 1800.0
_SYSTEM = ("/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="modelscan-tutorial-") as name:
        folder = Path(name)
        venv = install(folder)
        faults = [fault for page in PAGES for fault in follow(page, venv, folder)]
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    return 1 if faults else 0


def install(folder: Path) -> Path:
    """A new environment with the wheel and the extras that the first page names."""
    wheel, venv = build(folder), folder / "venv"
    page = (REPOSITORY / "docs" / "tutorial" / PAGES[0]).read_text(encoding="utf-8")
    extras = re.search(r"pip install '\.(\[[a-z,]+\])'", page)
    assert extras, "the first page says what to install"
    sys.stdout.write(f"installing {wheel.name}{extras[1]}\n")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip = [str(venv / "bin" / "pip"), "install", "--quiet", f"{wheel}{extras[1]}"]
    subprocess.run(pip, check=True, cwd=folder)
    return venv


def follow(page: str, venv: Path, folder: Path) -> Iterator[str]:
    """Run one page in a home of its own; what differs from it."""
    home = folder / f"home-{page}"
    home.mkdir()
    text = (REPOSITORY / "docs" / "tutorial" / page).read_text(encoding="utf-8")
    typed = commands(with_free_ports(text))
    env = {
        "PATH": f"{venv}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8",
        "MODELSCAN_HOME": str(home / "modelscan"), "COLUMNS": "80",
    }  # fmt: skip
    inside = sandbox(venv, home)
    began = time.monotonic()
    ended = run(typed, env, home, _DEADLINE_S, inside)
    place = "in a sandbox" if inside else "without a sandbox: bwrap is not installed"
    took = time.monotonic() - began
    sys.stdout.write(f"{page}: {len(ended)} of {len(typed)} commands, {took:.0f} s, {place}\n")
    if len(ended) < len(typed):
        yield f"{page}: the shell ended after {len(ended)} commands"
    for one, after in zip(typed, ended, strict=False):
        yield from _difference(page, one, after)


def _difference(page: str, one: Typed, after: Ended) -> Iterator[str]:
    line = missing(one, after)
    if after.status != one.status:
        yield f"{page}: $ {one.command}\nexit status {after.status}\n{after.output}"
    elif line is not None:
        yield f"{page}: $ {one.command}\nlacks: {line}\n{after.output}"


def sandbox(venv: Path, home: Path) -> list[str]:
    """A command line of bubblewrap; empty where it is not installed."""
    program = shutil.which("bwrap")
    if program is None:
        return []
    # A virtual environment uses the interpreter's own folder.
    read = {Path(one) for one in (*_SYSTEM, sys.base_prefix) if Path(one).exists()}
    binds = [word for one in sorted(read) for word in ("--ro-bind", str(one), str(one))]
    return [
        program, "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev",
        "--tmpfs", "/tmp", *binds, "--ro-bind", str(venv), str(venv),
        "--bind", str(home), str(home), "--chdir", str(home),
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
