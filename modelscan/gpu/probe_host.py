"""The machine as seen by the probes: files below a root folder, an environment, programs to run.

All I/O goes through a ``ProbeHost``, so that a test can replace it. The setting ``host_root`` reads
/proc, /sys and /dev below another folder (a container with the host's file system mounted);
``probe_timeout_s`` limits each program and driver call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from modelscan.gpu.tools import ToolOutput, run_tool, which

if TYPE_CHECKING:
    from modelscan.state.config import Config


class ToolRunner(Protocol):
    """Runs a program and returns its output; never raises."""

    def __call__(self, argv: Sequence[str], *, timeout_s: float) -> ToolOutput: ...


@dataclass(frozen=True)
class ProbeHost:
    """The access to a machine.

    ``system``: linux, darwin or win32; ``timeout_s`` limits each program.
    """

    root: Path = Path("/")
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    system: str = sys.platform
    run: ToolRunner = run_tool
    timeout_s: float = 10.0

    @classmethod
    def from_config(cls, config: Config) -> ProbeHost:
        """This machine, with the settings ``host_root`` and ``probe_timeout_s``."""
        return cls(root=config.host_root, timeout_s=config.probe_timeout_s)

    def path(self, name: str) -> Path:
        """The path of e.g. ``/proc/meminfo`` below the root."""
        return self.root / name.lstrip("/")

    def exists(self, name: str) -> bool:
        """True if the file exists and its folder can be read."""
        try:
            return self.path(name).exists()
        except OSError:
            return False

    def read(self, name: str, limit: int = 1 << 20) -> str | None:
        """The content of a small text file, or None if it cannot be read."""
        try:
            with self.path(name).open("rb") as handle:
                return handle.read(limit).decode("utf-8", "replace")
        except OSError:
            return None

    def read_int(self, name: str) -> int | None:
        """The number in a small text file (decimal or 0x…, below 2^62), or None."""
        text = (self.read(name, 64) or "").strip()
        try:
            value = int(text, 0)
        except ValueError:
            return None
        return value if 0 <= value < 1 << 62 else None

    def glob(self, pattern: str) -> list[Path]:
        """Matching paths below the root, sorted."""
        try:
            return sorted(self.root.glob(pattern.lstrip("/")))
        except OSError:
            return []

    def tool(self, name: str) -> str | None:
        """The full path of a program, or None."""
        return which(name, self.environ)
