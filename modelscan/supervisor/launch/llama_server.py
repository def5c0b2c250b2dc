"""The options and devices of a ``llama-server`` program on this machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping

from modelscan.engines.llamacpp.server_help import HelpOption, devices, parse_help

PROGRAM = "llama-server"
_TIMEOUT_S = 10.0


@functools.lru_cache(maxsize=8)
def known_options(program: str) -> Mapping[str, HelpOption] | None:
    """Every spelling of every option; None if the program does not answer."""
    text = _output(program, "--help")
    options = parse_help(text) if text else {}
    return options if "model" in options else None


@functools.lru_cache(maxsize=1)
def with_gpus() -> str | None:
    """A llama-server on the PATH that can use a GPU of this machine; None if there is none."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    return program if devices(_output(program, "--list-devices") or "") else None


def _output(program: str, option: str) -> str | None:
    try:
        done = subprocess.run(
            [program, option], capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout + done.stderr
