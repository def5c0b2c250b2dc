"""Type into a real shell on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import time
from collections.abc import Sequence
from pathlib import Path

_DEADLINE_S = 120.0
DONE = "the-line-is-complete"


def typed(
    program: str, flags: Sequence[str], setup: str, line: str, env: dict[str, str], folder: Path
) -> str:
    """The command line after ``line`` was typed in a terminal and Tab was pressed.

    The line is then turned into an ``echo`` (Ctrl-A), so that nothing is run.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        os.execve(program, [program, *flags], {**os.environ, **env})
    try:
        os.write(terminal, f"{setup}; echo ready''-to-type\r".encode())
        _until(terminal, "ready-to-type")
        os.write(terminal, f"{line}\t\x01echo {DONE[:3]}''{DONE[3:]} \r".encode())
        text = _until(terminal, DONE + " modelscan", "\n")
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)
    return text.rpartition(DONE + " ")[2].splitlines()[0].strip()


def _until(terminal: int, mark: str, end: str = "") -> str:
    """What the terminal printed until ``mark`` and then ``end`` came."""
    text, deadline = "", time.monotonic() + _DEADLINE_S
    while mark not in text or end not in text.rpartition(mark)[2]:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"no {mark!r} in {text!r}"
        text += os.read(terminal, 65536).decode(errors="replace")
    return text
