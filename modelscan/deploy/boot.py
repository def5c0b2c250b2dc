"""The systemd user units: one starts interrupted deployments after a reboot, one serves them.

They need no root. ``modelscan service run`` runs when the user's session manager starts (at
log-in, or at boot after ``loginctl enable-linger``) and ends the engines when it is stopped;
``modelscan serve`` is started again where it fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.deploy.unit_words import unit_word
from modelscan.state.files import write_atomic

UNIT = "modelscan.service"
SERVE_UNIT = "modelscan-serve.service"
UNITS = (UNIT, SERVE_UNIT)
_SYSTEMCTL_S = 30.0


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """The path of the unit, whether the file exists, and whether systemd starts it."""

    unit: str
    installed: bool
    enabled: bool


def install_unit(serve: Sequence[str] | None = None) -> ServiceUnit:
    """Write and enable the unit of the deployments; with ``serve``, start the one of the endpoint.

    ``serve`` are the options of ``modelscan serve``. Raises UsageError on a machine without
    systemd.
    """
    name, command = (UNIT, "service run") if serve is None else (SERVE_UNIT, "serve")
    if shutil.which("systemctl") is None:
        raise UsageError(
            "this machine has no systemd to start it at boot",
            hint=f"run this command at boot by other means: modelscan {command}",
            code="no_systemd",
        )
    file = unit_file(name)
    write_atomic(file, unit_text() if serve is None else serve_unit_text(serve))
    enable = ("enable", file.name) if serve is None else ("enable", "--now", file.name)
    enabled = _systemctl("daemon-reload") and _systemctl(*enable)
    return ServiceUnit(str(file), file.exists(), enabled)


def uninstall_unit(name: str = UNIT) -> ServiceUnit:
    """Disable and remove a unit, where there is one. Running deployments keep running; the
    endpoint ends."""
    file = unit_file(name)
    if file.exists():
        _systemctl(*(("disable", "--now") if name == SERVE_UNIT else ("disable",)), file.name)
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


def unit_file(name: str = UNIT, environ: dict[str, str] | None = None) -> Path:
    """A unit's path in the folder where systemd looks for a user's units."""
    env = dict(os.environ) if environ is None else environ
    root = env.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(root) / "systemd" / "user" / name


def unit_text(environ: dict[str, str] | None = None) -> str:
    """The unit's text. Engines run in its control group: stopping the unit ends them."""
    service = ["Type=oneshot", "RemainAfterExit=yes", "TimeoutStartSec=infinity"]
    return _text("install", "Model deployments of modelscan", ["service", "run"], service, environ)


def serve_unit_text(options: Sequence[str], environ: dict[str, str] | None = None) -> str:
    """The text of the endpoint's unit; a wrong option or an exposed endpoint without keys (exit
    status 2) is not tried again."""
    service = ["Type=exec", "Restart=on-failure", "RestartSec=2", "RestartPreventExitStatus=2"]
    return _text(
        "install --serve", "The endpoint of modelscan", ["serve", *options], service, environ
    )


def _text(
    written_by: str,
    description: str,
    words: Sequence[str],
    service: Sequence[str],
    environ: dict[str, str] | None,
) -> str:
    quoted = " ".join(unit_word(word, command=True) for word in words)
    lines = [
        f"# Written by `modelscan service {written_by}`; removed by `modelscan service uninstall`.",
        "[Unit]",
        f"Description={description}",
        "",
        "[Service]",
        *service,
        *_environment(dict(os.environ) if environ is None else environ),
        f"ExecStart={unit_word(sys.executable, command=True)} -m modelscan {quoted}",
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
            yield f"Environment={unit_word(f'{name}={environ[name]}')}"
