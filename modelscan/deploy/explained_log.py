"""What a log from elsewhere says: as a failed deployment of the same engine would explain it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.engines.explain import LogExplained, explain_log
from modelscan.state.secrets import redact

if TYPE_CHECKING:
    from modelscan.core.container import ContainerRuntime
    from modelscan.engines.base import FailureKind

# What docker and podman print before their own errors; the engine has not run then.
_OF_RUNTIME = re.compile(
    r"^(?:docker|podman): |Error response from daemon|Docker daemon|docker API|"
    r"^Unable to find image|"
    r"^Error: [^\n]*(?:OCI runtime|CDI device|podman|registry|image|container|netavark|"
    r"executable file)",
    re.MULTILINE,
)
_OF_DOCKER = re.compile(r"docker(?!:/)|Docker|Unable to find image")
_IMAGE = re.compile(
    r"Unable to find image '([^']+)'|pull access denied for ([^\s,]+)|manifest for (\S+) not found|"
    r"[Nn]o such image: ([^\s\"]+)|initializing source docker://([^\s:\"]+(?::[\w.-]+)?)|"
    r"([^\s\"]+): image not known"
)
_LAST_ROWS = 8  # the runtime's error ends the log: after it nothing runs


def explain_text(text: str, backend: str | None = None, log: str = "LOG") -> LogExplained:
    """The cause in the log, redacted: the engine's own, or of the container that did not start.

    ``log``: how a command names it, for hints. Raises UsageError for an unknown backend.
    """
    of_container = _of_runtime(text) if backend is None else None
    explained = of_container or explain_log(text, backend, log)
    return replace(explained, reason=explained.reason and redact(explained.reason))


def _of_runtime(text: str) -> LogExplained | None:
    """Why docker or podman did not start the container; None for another or an unknown reason."""
    from modelscan.supervisor.containers.failures import explain

    rows = text.rstrip().split("\n")
    end = "\n".join(rows[-_LAST_ROWS:])
    if not _OF_RUNTIME.search(end):
        return None
    match = _IMAGE.search(end)
    image = next(filter(None, match.groups()), "IMAGE") if match else "IMAGE"
    runtime: ContainerRuntime = "docker" if _OF_DOCKER.search(end) else "podman"
    failure = explain(end, runtime, image)
    if failure is None:
        return None
    line = failure.line and failure.line + max(0, len(rows) - _LAST_ROWS)
    kind: FailureKind | None = "port" if failure.port_taken else None
    return LogExplained(None, kind, failure.message, failure.hint, "", line)
