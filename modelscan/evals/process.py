"""Starts the process that runs a suite, with a clean environment, and reads what it leaves."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelscan.core.errors import ModelscanError, NotDeployableError
from modelscan.core.jsonform import NotReadable, from_json, to_json
from modelscan.evals.job import (
    JOB_FILE,
    KEY_VARIABLE,
    OUTCOME_FILE,
    ROWS_FILE,
    EvalJob,
    JobOutcome,
    SampleRow,
)
from modelscan.state.files import ensure_dir, write_atomic

_MODULE = "modelscan.evals.inspect.child"
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE",
         "LD_LIBRARY_PATH")  # fmt: skip
_POLL_S = 0.2
_END_S = 30.0


@dataclass(frozen=True, slots=True)
class JobResult:
    """The rows that were graded, and how the process ended."""

    rows: tuple[SampleRow, ...]
    outcome: JobOutcome


def require_inspect() -> None:
    """Raises NotDeployableError (exit 3) with the command that installs the extra."""
    missing = [name for name in ("inspect_ai", "openai") if importlib.util.find_spec(name) is None]
    if missing:
        raise NotDeployableError(
            f"running a suite needs {' and '.join(missing)}, which this installation lacks",
            hint="pip install 'inspect-ai==0.3.285' openai",
            code="missing_package",
        )


def run_job(
    job: EvalJob, folder: Path, *, key: str | None = None, report: Callable[[int], None]
) -> JobResult:
    """Run it to its end, or until Ctrl-C, which keeps the rows so far (outcome "cancelled").

    ``folder`` is created and has the job's log; ``report`` receives the number of graded samples.
    ``key`` is only in the environment of the process. Raises ModelscanError if it does not start.
    """
    require_inspect()
    ensure_dir(folder)
    write_atomic(folder / JOB_FILE, json.dumps(to_json(job)))
    # inspect loads the first .env of the working directory and its parents: this one is empty.
    write_atomic(folder / ".env", "")
    process = _start(folder, key)
    interrupted = False
    try:
        _wait(process, folder, report)
    except KeyboardInterrupt:
        interrupted = True
        _end(process)
    return JobResult(read_rows(folder), _outcome(folder, process, interrupted))


def _start(folder: Path, key: str | None) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    home = str(folder)
    environment |= {
        "HOME": home, "XDG_DATA_HOME": f"{home}/inspect", "XDG_CACHE_HOME": f"{home}/inspect",
        "INSPECT_LOG_LEVEL": "error", "NO_COLOR": "1", KEY_VARIABLE: key or "none",
        "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    # Data sets of other packages' tasks: those that this user has already; none is downloaded.
    cache = os.environ.get("HF_HOME") or str(Path.home() / ".cache" / "huggingface")
    environment |= {"HF_HOME": cache, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    with open(folder / "process.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", _MODULE, home],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C comes from this process, once
        )


def _wait(process: subprocess.Popen[bytes], folder: Path, report: Callable[[int], None]) -> None:
    rows = folder / ROWS_FILE
    seen = -1
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
        count = _lines(rows)
        if count != seen:
            seen = count
            report(count)


def _lines(file: Path) -> int:
    try:
        return file.read_bytes().count(b"\n")
    except OSError:
        return 0


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it, so that it closes its log, and end it and its children after a while."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    end_group(process)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Wait for an interrupted process, for a while; then end what is left of its group."""
    deadline = time.monotonic() + _END_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_POLL_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def read_rows(folder: Path) -> tuple[SampleRow, ...]:
    """The graded samples; a line that was cut by the end of the process is left out."""
    try:
        lines = (folder / ROWS_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ()
    rows = []
    for line in lines:
        with contextlib.suppress(ValueError, NotReadable):
            rows.append(from_json(SampleRow, json.loads(line)))
    return tuple(rows)


def _outcome(folder: Path, process: subprocess.Popen[bytes], interrupted: bool) -> JobOutcome:
    try:
        outcome = from_json(JobOutcome, json.loads((folder / OUTCOME_FILE).read_text("utf-8")))
    except (OSError, ValueError, NotReadable):
        if interrupted:
            return JobOutcome("cancelled", 0, "interrupted")
        raise ModelscanError(
            f"the process that runs the suite ended with {process.returncode}: {_tail(folder)}",
            hint=f"cat {folder / 'process.log'}",
            code="eval_process_failed",
        ) from None
    if interrupted and outcome.status == "finished":
        return outcome
    return JobOutcome("cancelled", outcome.samples, "interrupted") if interrupted else outcome


def _tail(folder: Path) -> str:
    from modelscan.state.secrets import redact

    try:
        lines = (folder / "process.log").read_text("utf-8", "replace").strip().splitlines()
    except OSError:
        return "no output"
    return redact(lines[-1])[:300] if lines else "no output"
