"""Programs that an installation runs: with a log, ended with the command that started them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from modelscan.core.errors import ModelscanError
from modelscan.state.files import explain_os_errors

_TORCH_TIMEOUT_S = 180.0
_TORCH = """\
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
print(json.dumps([torch.cuda.get_device_name(index) for index in range(count)]))
"""
# Variables by which Python and pip would use or write another place than the environment.
_ELSEWHERE = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
_REASONS = ("ERROR:", "error:", "No space left", "×", "Caused by")  # as pip and uv begin them


def run_logged(command: Sequence[str], log: Path, say: Callable[[str], None]) -> None:
    """Run it with its output in ``log``; ``say`` receives each line.

    Raises ModelscanError (``install_failed``) with the program's own reason. Ctrl-C ends the
    program and everything that it started.
    """
    lines: list[str] = []
    environment = {k: v for k, v in os.environ.items() if k not in _ELSEWHERE}
    with explain_os_errors(log), log.open("a", encoding="utf-8", errors="replace") as kept:
        kept.write(f"$ {' '.join(command)}\n")
        kept.flush()
        with _started(command, environment) as process:
            for line in process.stdout or ():
                kept.write(line)
                lines = [*lines[-50:], line.strip()]
                say(line.strip()[:200])
    code = process.returncode
    if code:
        raise ModelscanError(
            f"{Path(command[0]).name} could not install it: {_reason(lines)}",
            hint=f"less {log}   (the whole output); the next attempt continues where it stopped",
            code="install_failed",
            details={"command": list(command), "exit_code": code, "log": str(log)},
        )


@contextlib.contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """The program, with its output in one stream; waited for, or ended with all its children."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        text=True, errors="replace", env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
            process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise


def _reason(lines: Sequence[str]) -> str:
    """The program's own error line, else its last one."""
    marked = [line for line in lines if line.startswith(_REASONS) or "No space left" in line]
    return next(iter(marked or [line for line in lines[-1:] if line]), "no reason was printed")


def torch_devices(python: str) -> tuple[str, ...] | None:
    """The GPUs that PyTorch in this environment sees; None where PyTorch does not answer."""
    try:
        done = subprocess.run(
            [python, "-c", _TORCH], capture_output=True, timeout=_TORCH_TIMEOUT_S, check=True,
            cwd="/", stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return tuple(map(str, json.loads(done.stdout)))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
