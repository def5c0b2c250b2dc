"""After a restart of the machine: which deployments ran when it went down, and the systemd unit.

The unit is a user's: no root. It runs ``modelscan service run`` once the user's session manager is
up (``loginctl enable-linger`` makes that at boot) and ends the engines when it is stopped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from modelscan.core.deployment import Deployment, State
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.registry import find_target

UNIT = "modelscan.service"
# What a row says that nobody stopped on purpose: see ``deploy.readiness.ended``.
_NOT_ON_PURPOSE = ("the machine was restarted", "the engine was told to stop (SIGTERM)")


def interrupted(config: Config) -> tuple[str, ...]:
    """The names of local deployments that ran until something else than ``stop`` ended them."""
    if not config.paths.store_file.exists():
        return ()
    with Store.open(config.paths.store_file) as store:
        return tuple(row.name for row in store.all() if _was_running(row, config))


def _was_running(row: Deployment, config: Config) -> bool:
    if row.target != "local":
        return False
    if row.state in (State.RUNNING, State.STARTING):
        seen = find_target(row.target, config).observe(row)
        return seen.state not in (State.RUNNING, State.STARTING)
    return row.state is State.STOPPED and row.reason in _NOT_ON_PURPOSE


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
