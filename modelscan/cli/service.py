"""``modelscan service``: deployments come back after a restart of the machine (systemd)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from modelscan.cli import deployment_view as view
from modelscan.cli.document import Document, Fields, Note
from modelscan.cli.framework import command, group
from modelscan.core.deployment import Deployment
from modelscan.core.errors import UsageError
from modelscan.deploy.rows import deployment_list

app = group("Deployments that come back after a restart of the machine.")
_SYSTEMCTL_S = 30.0


@command(app, "install")
def install() -> Document:
    """Write and enable a systemd unit of this user that starts what was running."""
    from modelscan.deploy.boot import unit_file, unit_text
    from modelscan.state.files import write_atomic

    _need_systemd()
    file = unit_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, unit_text())
    enabled = _systemctl("daemon-reload") and _systemctl("enable", file.name)
    return _document("install", file, enabled)


@command(app, "uninstall")
def uninstall() -> Document:
    """Disable and remove the unit; running deployments go on."""
    from modelscan.deploy.boot import unit_file

    file = unit_file()
    if file.exists():
        _systemctl("disable", file.name)
        file.unlink()
        _systemctl("daemon-reload")
    return _document("uninstall", file, False)


@command(app, "run")
def run() -> Document:
    """Start every local deployment that ran until the machine went down (the unit calls this)."""
    from modelscan.cli.interrupt import interruptible

    service = view.service()

    def act(name: str) -> Deployment:
        return service.start(name).deployment

    with interruptible():
        done, error = view.each(service.interrupted(), act)
    body = deployment_list(done)
    return Document("service.run", body, [view.table(done)], [one.name for one in done],
                    exit_code=error.exit_code if error else 0)  # fmt: skip


def _document(what: str, file: Path, enabled: bool) -> Document:
    body = {"unit": str(file), "installed": file.exists(), "enabled": enabled}
    blocks = [Fields([("unit", str(file)), ("installed", file.exists()), ("enabled", enabled)])]
    if file.exists() and not enabled:
        hint = f"systemd did not answer; later: systemctl --user enable {file.name}"
        return Document(f"service.{what}", body, [*blocks, Note(hint)], [str(file)])
    if file.exists():
        note = Note("at boot instead of at log-in: loginctl enable-linger")
        return Document(f"service.{what}", body, [*blocks, note], [str(file)])
    return Document(f"service.{what}", body, blocks, [str(file)])


def _need_systemd() -> None:
    import shutil

    if shutil.which("systemctl") is None:
        raise UsageError(
            "this machine has no systemd, so nothing would start the deployments at boot",
            hint="run this at boot by other means: modelscan service run",
            code="no_systemd",
        )


def _systemctl(*words: str) -> bool:
    try:
        done = subprocess.run(
            ["systemctl", "--user", *words], capture_output=True, timeout=_SYSTEMCTL_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
