"""Runs a vendor's program: no shell, a minimal environment, limits on time and output."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from modelscan.gpu.reading import ParseError, Reading

MAX_OUTPUT_BYTES = 8 << 20
HOPELESS = ("timeout", "cannot_start", "too_much")  # running the program again would not help
# ROCm's programs are not always on PATH; nvidia-smi on WSL is in a separate folder.
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
    """A program's output. ``failure``: None, ``timeout``, ``too_much`` or ``cannot_start``."""

    stdout: str
    stderr: str = ""
    code: int | None = 0
    failure: str | None = None

    @property
    def ok(self) -> bool:
        """True if the program ended with exit code 0."""
        return self.failure is None and self.code == 0


def which(name: str, environ: Mapping[str, str]) -> str | None:
    """The path of an executable on PATH or in the vendors' usual folders; None if not found."""
    on_path = [d for d in environ.get("PATH", "").split(os.pathsep) if d]
    extra = [] if environ.get("MODELSCAN_HOST_ROOT") else _EXTRA_DIRS
    for folder in (*on_path, *extra):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113  start-up is measured
            return path
    return None


def run_tool(argv: Sequence[str], *, timeout_s: float = 10.0) -> ToolOutput:
    """Run a program in its own session; kill the session above the time or output limit."""
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
    """Read both pipes until they close or a limit is exceeded."""
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
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                failure = "timeout"
            for key, _ in selector.select(max(0.0, remaining_s)):
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
    """End the program and its children, and close the pipes."""
    import contextlib
    import signal
    import subprocess

    assert isinstance(process, subprocess.Popen)
    process.poll()
    with contextlib.suppress(OSError):  # its children too, even if it has already ended
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def tool_failure(name: str, output: ToolOutput, timeout_s: float) -> ParseError | None:
    """The ParseError for a program that failed; None if it succeeded."""
    hint = f"run it by hand: {name}"
    if output.failure == "timeout":
        message = f"{name} did not respond within {timeout_s:g} s and was stopped"
        return ParseError("timeout", message, hint)
    if output.failure == "too_much":
        return ParseError("too_much", f"{name} printed more than 8 MiB and was stopped", hint)
    if output.failure is not None:
        message = f"{name} cannot be started: {output.stderr[:200]}"
        return ParseError("cannot_start", message, f"file $(command -v {name})")
    if output.code:
        lines = (output.stderr or output.stdout).strip().splitlines()
        words = f": {lines[0][:160]}" if lines else ""
        how = f"exit code {output.code}" if output.code > 0 else f"signal {-output.code}"
        return ParseError("tool_failed", f"{name} ended with {how}{words}", hint)
    return None


def parse_tool_output(
    name: str, output: ToolOutput, timeout_s: float, parse: Callable[[str], Reading]
) -> Reading:
    """Parse a program's output. Raises ParseError, with the program's own failure if it failed.

    Output before a failure at the end is used; the same if a child process kept the pipe open.
    """
    failure = tool_failure(name, output, timeout_s)
    if failure is not None and not output.stdout.strip():
        raise failure
    if not output.stdout.strip():
        raise ParseError("empty", f"{name} printed nothing", f"run it by hand: {name}")
    try:
        return parse(output.stdout)
    except ParseError as refusal:
        use_failure = refusal.hint is None and failure is not None
        raise (failure if use_failure and failure else refusal) from None
