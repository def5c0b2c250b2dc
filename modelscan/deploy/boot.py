"""The systemd user unit that starts interrupted deployments after a reboot.

It needs no root. It runs ``modelscan service run`` when the user's session manager starts (at
log-in, or at boot after ``loginctl enable-linger``) and ends the engines when it is stopped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.state.files import write_atomic

UNIT = "modelscan.service"
_SYSTEMCTL_S = 30.0


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """The path of the unit, whether the file exists, and whether systemd starts it."""

    unit: str
    installed: bool
    enabled: bool


def install_unit() -> ServiceUnit:
    """Write and enable the unit; raises UsageError on a machine without systemd."""
    if shutil.which("systemctl") is None:
        raise UsageError(
            "this machine has no systemd to start deployments at boot",
            hint="run this command at boot by other means: modelscan service run",
            code="no_systemd",
        )
    file = unit_file()
    write_atomic(file, unit_text())
    enabled = _systemctl("daemon-reload") and _systemctl("enable", file.name)
    return ServiceUnit(str(file), file.exists(), enabled)


def uninstall_unit() -> ServiceUnit:
    """Disable and remove the unit, where there is one; running deployments keep running."""
    file = unit_file()
    if file.exists():
        _systemctl("disable", file.name)
        file.unlink()
        _systemctl("daemon-reload")
    return ServiceUnit(str(file), file.exists(), enabled=False)


def _systemctl(*words: str) -> bool:
    """Whether ``systemctl --user`` ran and succeeded within 30 s."""
    try:
        process = subprocess.run(
            ["systemctl", "--user", *words], capture_output=True, timeout=_SYSTEMCTL_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return process.returncode == 0


def unit_file(environ: dict[str, str] | None = None) -> Path:
    """The unit's path in the folder where systemd looks for a user's units."""
    env = dict(os.environ) if environ is None else environ
    root = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(root) / "systemd" / "user" / UNIT


def unit_text(environ: dict[str, str] | None = None) -> str:
    """The unit's text. Engines run in its control group: stopping the unit ends them."""
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
    """The variables that locate this user's modelscan and its files; never a credential."""
    for name in ("MODELSCAN_HOME", "HF_HOME", "PATH"):
        if environ.get(name):
            yield f"Environment={_quoted(f'{name}={environ[name]}')}"


def _quoted(text: str, *, command: bool = False) -> str:
    """Quote one word of a unit file: ``%`` is special everywhere, ``$`` in commands only."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return '"' + (escaped.replace("$", "$$") if command else escaped) + '"'
