"""The options and devices of a ``llama-server`` program on this machine."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.engines.llamacpp.server_help import HelpOption, devices, parse_help

PROGRAM = "llama-server"
_TIMEOUT_S = 10.0
_VERSION = re.compile(r"^version:\s*(.+)$", re.M)


@dataclass(frozen=True, slots=True)
class Program:
    """A ``llama-server`` that answered: its version, and the GPUs that it can use."""

    path: str
    version: str | None
    devices: tuple[str, ...]


def inspect_program(path: Path) -> Program:
    """Run the program for its version, options and devices; raises UsageError, saying what is
    there instead, where it is not a llama-server that runs here."""
    found = shutil.which(str(path.expanduser())) or str(path.expanduser())
    if not Path(found).exists():
        raise _no_server(f"{found} does not exist")
    if Path(found).is_dir():
        raise _no_server(f"{found} is a folder")
    if not os.access(found, os.X_OK):
        raise _no_server(f"{found} is not executable", f"chmod +x {found}")
    if known_options(found) is None:
        raise _no_server(f"{found} does not answer --help as a llama-server does")
    version = _VERSION.search(_output(found, "--version") or "")
    listed = devices(_output(found, "--list-devices") or "")
    return Program(found, version[1].strip() if version else None, listed)


def _no_server(reason: str, hint: str | None = None) -> UsageError:
    return UsageError(
        reason,
        hint=hint or "modelscan config set llama_server PATH_OF_A_LLAMA_SERVER",
        code="not_an_engine",
    )


def known_options(program: str) -> Mapping[str, HelpOption] | None:
    """Every spelling of every option; None if the program does not answer."""
    return _known_options(program, _stamp(program))


def _stamp(program: str) -> tuple[int, int] | None:
    """Changes with the file: a newer build may be put in its place."""
    try:
        facts = Path(program).stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size


@functools.lru_cache(maxsize=8)
def _known_options(program: str, _: tuple[int, int] | None) -> Mapping[str, HelpOption] | None:
    text = _output(program, "--help")
    options = parse_help(text) if text else {}
    return options if "model" in options else None


def with_gpus() -> str | None:
    """A llama-server on the PATH that can use a GPU of this machine; None if there is none."""
    program = shutil.which(PROGRAM)
    return program if program is not None and _lists_gpus(program, _stamp(program)) else None


@functools.lru_cache(maxsize=4)
def _lists_gpus(program: str, _: tuple[int, int] | None) -> bool:
    return bool(devices(_output(program, "--list-devices") or ""))


def _output(program: str, option: str) -> str | None:
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout + done.stderr
