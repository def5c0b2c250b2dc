"""The machine as the probes see it: files below a root, an environment, programs to run.

Everything that touches the outside goes through a ``Machine``, so that a test can hand in another.
The setting ``host_root`` reads /proc, /sys and /dev below another folder (a container with the
host's file system mounted); ``probe_timeout_s`` bounds each program and driver.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from modelscan.gpu.tools import ToolOutput, run_tool, which
from modelscan.state.config import load


class Runner(Protocol):
    """Runs a program and returns what it said; never raises."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float) -> ToolOutput: ...


def _default_root() -> Path:
    return load().host_root


def _default_timeout() -> float:
    return load().probe_timeout_s


@dataclass(frozen=True)
class Machine:
    """``system`` is ``linux``, ``darwin`` or ``win32``; ``timeout_s`` bounds each program."""

    root: Path = field(default_factory=_default_root)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    system: str = sys.platform
    run: Runner = run_tool
    timeout_s: float = field(default_factory=_default_timeout)

    def path(self, name: str) -> Path:
        """``/proc/meminfo`` below the root."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        try:
            return self.path(name).exists()
        except OSError:
            return False

    def read(self, name: str, limit: int = 1 << 20) -> str | None:
        """A small text file, or None where it cannot be read."""
        try:
            with self.path(name).open("rb") as handle:
                return handle.read(limit).decode("utf-8", "replace")
        except OSError:
            return None

    def read_int(self, name: str) -> int | None:
        text = (self.read(name, 64) or "").strip()
        try:
            return int(text, 0)
        except ValueError:
            return None

    def glob(self, pattern: str) -> list[Path]:
        """Sorted matches below the root."""
        try:
            return sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []

    def tool(self, name: str) -> str | None:
        """The full path of a program, or None."""
        return which(name, self.environ)
