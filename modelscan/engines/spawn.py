"""Start and stop the supervised process of a deployment."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import modelscan
from modelscan.core.errors import RemoteError
from modelscan.engines.processes import Identity, send
from modelscan.engines.rundir import RunDir, Spec
from modelscan.engines.supervisor import NOT_CLAIMED, PATH_MARK

_POLL_S = 0.01
_KILL_WAIT_S = 5.0


def new_run_id() -> str:
    return secrets.token_hex(8)


def start(rundir: RunDir, spec: Spec) -> None:
    """Start the supervisor; returns once it lives. The caller holds the deployment's lock.

    Raises RemoteError when it does not come to life. The supervisor's working folder is the
    deployment's own, so that ``python -m`` finds no foreign module in the user's current folder.
    """
    if not rundir.prepare(spec):
        raise _still_there(rundir)
    environment = dict(os.environ)
    own = environment.get("PYTHONPATH", "")
    environment[PATH_MARK] = own
    root = str(Path(modelscan.__file__).resolve().parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(part for part in (root, own) if part)
    errors = rundir.folder / "supervisor.err"
    with errors.open("wb") as stderr:
        done = subprocess.run(
            [sys.executable, "-m", "modelscan.engines.supervisor", str(rundir.folder), spec.run_id],
            cwd=rundir.folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=stderr, check=False, start_new_session=True,
        )  # fmt: skip
    if done.returncode != 0:
        raise _not_started(rundir, done.returncode, errors)


def _not_started(rundir: RunDir, code: int, errors: Path) -> RemoteError:
    name = rundir.folder.name
    if code == NOT_CLAIMED:
        return _still_there(rundir)
    lines = errors.read_text(errors="replace").strip().splitlines()
    return RemoteError(
        f"the supervisor of {name} ended with code {code}: {lines[-1] if lines else 'no message'}",
        hint="modelscan doctor",
        code="supervisor_failed",
    )


def _still_there(rundir: RunDir) -> RemoteError:
    name = rundir.folder.name
    return RemoteError(
        f"another process of {name} is still there",
        hint=f"modelscan stop {name}",
        code="still_running",
    )


def stop(rundir: RunDir, grace_s: float = 5.0) -> bool:
    """End supervisor and engine and wait until both are gone; False if nothing ran.

    SIGTERM first; after the grace period (kept by the supervisor, too) SIGKILL. Raises RemoteError
    when something survives even that. On return no start of ours can come to life any more.
    """
    if rundir.retire():
        return False
    _signal(rundir, signal.SIGTERM)
    if not _wait(rundir.retire, grace_s + 1.0):
        _signal(rundir, signal.SIGKILL)
        if not _wait(rundir.retire, _KILL_WAIT_S):
            raise RemoteError(
                f"the engine of {rundir.folder.name} does not end",
                hint=f"ps -fp {_pids(rundir)}",
                code="engine_survives",
            )
    return True


def _wait(done: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(rundir: RunDir, number: signal.Signals) -> None:
    """The supervisor, which ends the engine; the engine itself where that is gone or deaf."""
    _wait(lambda: rundir.running() is not None or not rundir.alive(), 1.0)
    supervisor, engine = _identities(rundir)
    if number is signal.SIGKILL and engine is not None:
        send(engine, number, group=True)
    told = supervisor is not None and send(supervisor, number)
    if engine is not None and not told:
        send(engine, number, group=True)


def _identities(rundir: RunDir) -> tuple[Identity | None, Identity | None]:
    running = rundir.running()
    return (running.supervisor, running.engine) if running else (None, None)


def _pids(rundir: RunDir) -> str:
    return ",".join(str(who.pid) for who in _identities(rundir) if who) or "-"
