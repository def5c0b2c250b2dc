"""Every export by its name."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from modelscan.deploy.exports import compose, kubernetes, quadlet, skypilot, systemd
from modelscan.deploy.exports.documents import comments
from modelscan.deploy.exports.subject import LOOPBACK, ExportSubject


def _command(subject: ExportSubject) -> str:
    """The command line with its variables, for a shell."""
    values = subject.environment(contained=False)
    assignments = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    words = map(shlex.quote, subject.command(LOOPBACK, native=True))
    return comments(subject.notes) + " ".join([*assignments, *words]) + "\n"


EXPORTS: Mapping[str, Callable[[ExportSubject], str]] = {
    "command": _command,
    "compose": compose.export,
    "quadlet": quadlet.export,
    "systemd": systemd.export,
    "kubernetes": kubernetes.export,
    "skypilot": skypilot.export,
}
"""All but ``gpustack``, which is a request that depends on a server."""
