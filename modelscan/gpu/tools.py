"""Running a vendor's program: no shell, a clean environment, bounded in time and output."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_OUTPUT_BYTES = 8 << 20
# ROCm's programs are not always on PATH; nvidia-smi on WSL is in a folder of its own.
_EXTRA_DIRS = (
    "/opt/rocm/bin",
    "/usr/lib/wsl/lib",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/usr/sbin",
)
_KEEP = ("PATH", "HOME", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "ROCM_PATH")


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a program said. ``failure``: None, ``timeout``, ``too_much`` or ``cannot_start``."""

    stdout: str
    stderr: str = ""
    code: int | None = 0
    failure: str | None = None

    @property
    def ok(self) -> bool:
        return self.failure is None and self.code == 0


def which(name: str, environ: Mapping[str, str]) -> str | None:
    """An executable on PATH or in the folders vendors use."""
    own = [d for d in environ.get("PATH", "").split(os.pathsep) if d]
    extra = [] if environ.get("MODELSCAN_HOST_ROOT") else _EXTRA_DIRS
    for folder in (*own, *extra):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113  start-up is measured
            return path
    return None


def run_tool(argv: Sequence[str], *, timeout_s: float = 10.0) -> ToolOutput:
    """Run a program in its own session; kill all of it past the time or output limit."""
    import subprocess

    environment = {name: os.environ[name] for name in _KEEP if name in os.environ}
    environment |= {"LC_ALL": "C", "LANG": "C"}
    try:
        process = subprocess.Popen(
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment, start_new_session=True, close_fds=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        return ToolOutput("", str(error), None, "cannot_start")
    try:
        return _collect(process, timeout_s)
    finally:
        _end(process)


def _collect(process: object, timeout_s: float) -> ToolOutput:
    """Read both pipes until they close, the time is over or there is too much."""
    import selectors
    import subprocess
    import time

    assert isinstance(process, subprocess.Popen)
    deadline = time.monotonic() + timeout_s
    chunks: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    failure = None
    with selectors.DefaultSelector() as selector:
        for name in chunks:
            selector.register(getattr(process, name), selectors.EVENT_READ, name)
        while selector.get_map() and failure is None:
            left = deadline - time.monotonic()
            if left <= 0:
                failure = "timeout"
            for key, _ in selector.select(max(0.0, left)):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                chunks[key.data] += data
                if len(chunks[key.data]) > MAX_OUTPUT_BYTES:
                    failure = "too_much"
    code = None
    if failure is None:
        try:
            code = process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            failure = "timeout"
    out, err = (bytes(chunks[n][:MAX_OUTPUT_BYTES]).decode("utf-8", "replace") for n in chunks)
    return ToolOutput(out, err, code, failure)


def _end(process: object) -> None:
    """End the program and whatever it started, and close the pipes."""
    import contextlib
    import signal
    import subprocess

    assert isinstance(process, subprocess.Popen)
    process.poll()
    with contextlib.suppress(OSError):  # its children too, also where it has ended itself
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
