"""The built wheel, installed as people install programs: by pipx and by ``uv tool``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path


def tool_faults(wheel: Path, folder: Path) -> Iterator[str]:
    """What goes wrong with either program; both are installed into an environment of their own."""
    programs = folder / "installers"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(programs)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "bin" / "python"), "install"]
    quiet = ["-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, *quiet, "pipx", "uv"], check=True)
    home = folder / "tools"
    own = {"PIPX_HOME": home / "pipx", "PIPX_BIN_DIR": home / "pipx-bin",
           "PIPX_MAN_DIR": home / "man", "UV_TOOL_DIR": home / "uv",
           "UV_TOOL_BIN_DIR": home / "uv-bin", "UV_CACHE_DIR": home / "uv-cache"}  # fmt: skip
    env = {**os.environ, **_index(), **{name: str(path) for name, path in own.items()},
           "MODELSCAN_HOME": str(home / "state"), "UV_LINK_MODE": "copy"}  # fmt: skip
    commands = {
        "pipx": ([programs / "bin" / "pipx", "install", wheel], home / "pipx-bin"),
        "uv tool": (
            [programs / "bin" / "uv", "tool", "install", "--python", sys.executable, wheel],
            home / "uv-bin",
        ),
    }
    for name, (command, place) in commands.items():
        yield from _faults(name, [str(word) for word in command], place, env)


def _index() -> dict[str, str]:
    """uv reads no settings of pip: the indexes that pip uses here, and all of them alike."""
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for key, variable in (("index-url", "UV_DEFAULT_INDEX"), ("find-links", "UV_FIND_LINKS"),
                          ("extra-index-url", "UV_INDEX")):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "get", f"global.{key}"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        value = " ".join(done.stdout.split())
        if done.returncode == 0 and value:
            found[variable] = value
    return found


def _faults(name: str, command: list[str], place: Path, env: dict[str, str]) -> Iterator[str]:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield f"{name} install: {done.stderr[-600:]}"
        return
    program = place / "modelscan"
    ran = subprocess.run(
        [str(program), "plan", "qwen3-8b", "--gpu", "RTX 4090", "--offline", "-q"],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode != 0 or not ran.stdout.strip():
        yield f"{name}: modelscan plan: {ran.stdout}{ran.stderr[-400:]}"
