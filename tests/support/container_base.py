"""A base image for the container file, where no registry is in reach: Debian's smallest system with
Python, and the packages that modelscan needs. Both are kept in .cache/container.

It needs root, debootstrap, and an index of Python packages; else a test is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from support.podman import Podman, wrapped

BASE = "localhost/python-base:1"
_CACHE = REPOSITORY / ".cache" / "container"
_SUITE, _MIRROR = "bookworm", "http://deb.debian.org/debian"
_PACKAGES = "python3,python3-venv,python-is-python3,ca-certificates"
_EXTRAS = "gateway,hub,mcp"


def with_base(folder: Path, real: str, keeper: subprocess.Popen[str] | None) -> Podman:
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed")
    archive = _archive()
    made = wrapped(folder, real, keeper)
    # The build asks no index: what it installs is in the image.
    variables = ("PIP_NO_INDEX=1", "PIP_FIND_LINKS=/wheels")
    changes = [word for one in variables for word in ("--change", f"ENV {one}")]
    made("import", "--quiet", *changes, str(archive), BASE)
    return made


def _archive() -> Path:
    """The file system; made again when the packages that modelscan needs have changed."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    system, archive = _CACHE / "system", _CACHE / "base.tar"
    project = REPOSITORY / "pyproject.toml"
    if archive.exists() and archive.stat().st_mtime >= project.stat().st_mtime:
        return archive
    if not (system / "usr/bin/python").exists():
        shutil.rmtree(system, ignore_errors=True)
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(system),
             _MIRROR)  # fmt: skip
    wheels = system / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    version = next((system / "usr/lib").glob("python3.*")).name.removeprefix("python")
    _run(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary", ":all:",
         "--python-version", version, "--dest", str(wheels), f"{REPOSITORY}[{_EXTRAS}]", "hatchling")  # fmt: skip
    _run("tar", "-C", str(system), "-cf", f"{archive}.part", "--exclude=./dev/*", ".")
    os.replace(f"{archive}.part", archive)
    return archive


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-500:]}{done.stderr[-1500:]}"
