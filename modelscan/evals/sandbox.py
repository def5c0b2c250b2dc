"""Runs the code of an answer apart from this machine: in bubblewrap, a container, or (by choice)
with limits only.

``docker`` is a container of docker, or of podman where only that has the image. bubblewrap and
containers: no network, no files of the machine but the system's read-only programs, an
empty environment, limits of time, memory, processes and output. ``local`` has only the limits.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.units import MIB
from modelscan.evals.items import CodeEnd, CodeResult, RunCode, SandboxKind

DOCKER_IMAGE = "python:3.12-slim"
_MEMORY_BYTES = 768 * MIB  # of address space: an interpreter alone maps 30 to 300 MiB
_OUTPUT_BYTES = 1 * MIB
_CONTAINERS = ("docker", "podman")
_PYTHON = ("-I", "-S", "-B", "-c")
_NO_START = (125, 126, 127)  # the exit codes of both where a container did not start
_HINT = "apt install bubblewrap"


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """``wall_s``: seconds until the program is ended; ``cpu_s``: of processor time."""

    wall_s: float = 60.0  # a program of one second needs many on a busy machine
    cpu_s: int = 10


LIMITS = CodeLimits()


def choose_sandbox(asked: SandboxKind | None, *, confirmed: bool = False) -> SandboxKind:
    """The sandbox that works here, bubblewrap first.

    Raises NotDeployableError (exit 3) where none does, or for ``local`` without a confirmation.
    """
    if asked == "local":
        if confirmed:
            return "local"
        raise NotDeployableError(
            "--sandbox local runs a model's code with your files and network",
            hint="add --yes to allow it, or: " + _HINT,
            code="sandbox_not_confirmed",
        )
    for kind in (asked,) if asked else ("bwrap", "docker"):
        if _works(kind):
            return kind
    missing = {
        "bwrap": "bubblewrap does not work here",
        "docker": f"neither docker nor podman has {DOCKER_IMAGE} here",
    }
    raise NotDeployableError(
        "this suite runs a model's code, and there is no sandbox: "
        + (missing[asked] if asked else "neither bubblewrap, docker nor podman works here"),
        hint=_pull_hint() if asked == "docker" else _HINT,
        code="no_sandbox",
    )


def _pull_hint() -> str:
    program = next((one for one in _CONTAINERS if shutil.which(one)), "docker")
    return f"{program} pull {DOCKER_IMAGE}"


def _works(kind: SandboxKind) -> bool:
    """Whether a program starts in it."""
    if kind == "docker":
        return container_program() is not None
    return _succeeds([*_bwrap(), "true"])


def container_program() -> str | None:
    """docker or podman: the first one that works and has the image; None: neither."""
    return next(
        (one for one in _CONTAINERS if _succeeds([one, "image", "inspect", DOCKER_IMAGE])), None
    )


def _succeeds(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def runner(kind: SandboxKind, limits: CodeLimits = LIMITS) -> RunCode:
    """A function that runs a program with a standard input in that sandbox.

    It raises ModelscanError where a container does not start: that is no fault of the program.
    """
    if kind == "docker":
        return _in_containers(container_program() or _CONTAINERS[0], limits)

    def run(program: str, stdin: str) -> CodeResult:
        with tempfile.TemporaryDirectory(prefix="modelscan-code-") as folder:
            command = _command(kind, program, limits)
            variables = {"PATH": os.environ.get("PATH", ""), "HOME": folder}
            return _run(command, stdin, Path(folder), limits, variables)

    return run


def _in_containers(client: str, limits: CodeLimits) -> RunCode:
    end = ["--time", "0"] if client == "podman" else []

    def run(program: str, stdin: str) -> CodeResult:
        name = f"modelscan-code-{secrets.token_hex(8)}"
        command = [client, *_container(program, limits, name)]
        with tempfile.TemporaryDirectory(prefix="modelscan-code-") as folder:
            try:
                # The client needs its own variables (HOME, DOCKER_HOST); a container gets none.
                result = _run(command, stdin, Path(folder), limits, dict(os.environ))
            finally:  # a container outlives the client that is ended
                _succeeds([client, "rm", "--force", *end, name])
        _check_started(client, result)
        return result

    return run


def _check_started(client: str, result: CodeResult) -> None:
    """Raises ModelscanError where the client's message is all that came."""
    said = result.stderr.strip()
    failed = result.exit_code in _NO_START and not result.stdout
    if failed and said.startswith((f"{client}:", "Error:")):
        raise ModelscanError(
            f"{client} started no container: {said.splitlines()[0][:300]}",
            hint=f"{client} run --rm --network none {DOCKER_IMAGE} python -c 'print(1)'",
            code="no_sandbox",
        )


def _container(program: str, limits: CodeLimits, name: str) -> list[str]:
    return [
        "run", "--rm", "-i", "--name", name, "--pull", "never", "--network", "none",
        "--read-only", "--tmpfs", "/tmp", "--memory", str(_MEMORY_BYTES),  # noqa: S108
        "--memory-swap", str(_MEMORY_BYTES), "--cpus", "1", "--pids-limit", "64",
        "--ulimit", f"cpu={limits.cpu_s}:{limits.cpu_s + 1}", "--ulimit", "core=0",
        "--ulimit", "nofile=64:64", "--ulimit", "nproc=4096:4096", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--user", "65534:65534", DOCKER_IMAGE,
        "python", *_PYTHON, program,
    ]  # fmt: skip


def _command(kind: SandboxKind, program: str, limits: CodeLimits) -> list[str]:
    limited = [
        "prlimit", f"--as={_MEMORY_BYTES}", f"--cpu={limits.cpu_s}:{limits.cpu_s + 1}", "--core=0",
        f"--fsize={64 * MIB}", "--nofile=64", "--nproc=4096", "--",
    ]  # fmt: skip
    interpreter = os.path.realpath(sys.executable)
    outside = [] if kind == "local" else _bwrap()
    prlimit = limited if shutil.which("prlimit") else []
    return [*outside, *prlimit, interpreter, *_PYTHON, program]


def _bwrap() -> list[str]:
    """bubblewrap with read-only system folders and the interpreter's own, and an empty /tmp."""
    folders = ["/usr", *_interpreter_folders()]
    bound = [word for folder in folders for word in ("--ro-bind", folder, folder)]
    links = [
        word
        for name in ("lib", "lib64", "bin", "sbin")
        for word in ("--symlink", f"usr/{name}", f"/{name}")
    ]
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--clearenv",
        "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "LANG", "C.UTF-8",
        *bound, *links, "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp",  # noqa: S108
        "--",
    ]  # fmt: skip


def _interpreter_folders() -> list[str]:
    """The folder of this Python, where it is not below /usr."""
    base = os.path.realpath(sys.base_prefix)
    return [] if base == "/usr" or base.startswith("/usr/") else [base]


def _run(
    command: Sequence[str], stdin: str, folder: Path, limits: CodeLimits, env: Mapping[str, str]
) -> CodeResult:
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=env,
        start_new_session=True,
    )
    assert process.stdin and process.stdout and process.stderr
    texts: dict[str, bytes] = {}
    threads = [
        threading.Thread(
            target=_feed, args=(process.stdin, stdin.encode("utf-8", "replace")), daemon=True
        ),
        threading.Thread(target=_read, args=(process.stdout, texts, "out"), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, texts, "err"), daemon=True),
    ]
    for thread in threads:
        thread.start()
    late = False
    try:
        process.wait(limits.wall_s)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        _end(process)
    for thread in threads:
        thread.join(5)
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            stream.close()
    return _result(process, texts, late)


def _result(process: subprocess.Popen[bytes], texts: dict[str, bytes], late: bool) -> CodeResult:
    out, error = (texts.get(name, b"").decode("utf-8", "replace") for name in ("out", "err"))
    cut = len(texts.get("out", b"")) > _OUTPUT_BYTES
    killed = process.returncode in (-signal.SIGXCPU, 128 + signal.SIGXCPU)
    end: CodeEnd = "timeout" if late or killed else "output_limit" if cut else "exited"
    return CodeResult("" if cut else out, error, end, process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and everything it started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _feed(stream: IO[bytes], data: bytes) -> None:
    with contextlib.suppress(OSError):
        stream.write(data)
        stream.close()


def _read(stream: IO[bytes], texts: dict[str, bytes], name: str) -> None:
    """Everything up to the limit; the rest is read and dropped, so that the program ends."""
    kept = b""
    with contextlib.suppress(OSError, ValueError):
        while part := stream.read1(65536):  # type: ignore[attr-defined]
            if len(kept) <= _OUTPUT_BYTES:
                kept += part
    texts[name] = kept
