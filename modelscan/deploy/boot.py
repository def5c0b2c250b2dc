"""The systemd unit that brings deployments back after a restart of the machine.

The unit is a user's: no root. It runs ``modelscan service run`` once the user's session manager is
up (``loginctl enable-linger`` makes that at boot) and ends the engines when it is stopped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

UNIT = "modelscan.service"


def unit_file(environ: dict[str, str] | None = None) -> Path:
    """Where systemd looks for a user's units."""
    env = dict(os.environ) if environ is None else environ
    root = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(root) / "systemd" / "user" / UNIT


def unit_text(environ: dict[str, str] | None = None) -> str:
    """The unit. Engines belong to it: stopping it ends them, the next boot starts them again."""
    run = f"{_quoted(sys.executable, command=True)} -m modelscan service run"
    lines = [
        "# Written by `modelscan service install`; removed by `modelscan service uninstall`.",
        "[Unit]",
        "Description=Model deployments of modelscan",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *_environment(dict(os.environ) if environ is None else environ),
        f"ExecStart={run}",
        "TimeoutStartSec=infinity",
        "TimeoutStopSec=60",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _environment(environ: dict[str, str]) -> Iterator[str]:
    """What the commands of this user depend on; never a key."""
    for name in ("MODELSCAN_HOME", "HF_HOME", "PATH"):
        if environ.get(name):
            yield f"Environment={_quoted(f'{name}={environ[name]}')}"


def _quoted(text: str, *, command: bool = False) -> str:
    """One word of a unit file; ``%`` is special everywhere, ``$`` in commands only."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'
