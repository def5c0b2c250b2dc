"""Start and stop the supervised process of a deployment."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import modelscan
from modelscan.core.errors import RemoteError
from modelscan.state.files import open_private
from modelscan.supervisor import stragglers
from modelscan.supervisor.environment import PATH_MARK
from modelscan.supervisor.processes import Identity, is_alive, send
from modelscan.supervisor.rundir import RUN_MARK, ProcessSpec, RunDir

MODULE = "modelscan.supervisor.main"
ERRORS = "supervisor.err"
_POLL_S = 0.01
_KILL_WAIT_S = 5.0
_STRAGGLER_S = 2.0
_BORN_S = 5.0  # until a supervisor has written its identity


def new_run_id() -> str:
    """A random identifier of one start: 16 hexadecimal digits."""
    return secrets.token_hex(8)


def start(rundir: RunDir, spec: ProcessSpec) -> None:
    """Start the supervisor and return at once: from now on it counts as alive.

    The caller holds the deployment's lock. Raises RemoteError while another run is alive. The
    supervisor's working folder is the deployment's own, so that ``python -m`` finds no foreign
    module in the user's current folder.
    """
    command = [sys.executable, "-m", MODULE, str(rundir.folder), spec.run_id]
    with rundir.claim(spec) as lock, open_private(rundir.folder / ERRORS) as stderr:
        if lock is None:
            raise _still_there(rundir)
        process = subprocess.Popen(
            command, cwd=rundir.folder, env=_environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
    # It detaches by its own fork; collect the remaining process so that it is no zombie.
    threading.Thread(target=process.wait, name="reap", daemon=True).start()


def last_error(rundir: RunDir) -> str | None:
    """The last output of a supervisor that failed (normally empty)."""
    try:
        lines = (rundir.folder / ERRORS).read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return None
    return lines[-1] if lines else None


def _environment() -> dict[str, str]:
    own = os.environ.get("PYTHONPATH", "")
    root = str(Path(modelscan.__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (root, own) if part)
    return {**os.environ, PATH_MARK: own, "PYTHONPATH": path}


def _still_there(rundir: RunDir) -> RemoteError:
    name = rundir.folder.name
    return RemoteError(
        f"another process of {name} still runs",
        hint=f"modelscan stop {name}",
        code="still_running",
    )


def stop(rundir: RunDir, grace_s: float = 5.0) -> bool:
    """End supervisor, engine and what the engine started, and wait until all have ended; False if
    nothing ran.

    SIGTERM first; after the grace period (which the supervisor also applies) SIGKILL. Raises
    RemoteError if a process survives even that.
    """
    if not rundir.alive():
        return _end_stragglers(rundir)
    _signal(rundir, signal.SIGTERM)
    if not _wait(lambda: not rundir.alive(), grace_s + 1.0):
        _signal(rundir, signal.SIGKILL)
        stragglers.end(_stragglers(rundir), signal.SIGKILL)
        if not _wait(lambda: not rundir.alive(), _KILL_WAIT_S):
            raise _survives(rundir)
    _end_stragglers(rundir)
    return True


def _end_stragglers(rundir: RunDir) -> bool:
    """End processes that left both the engine's group and its lock, and a container that outlived
    its supervisor; False if there were none."""
    if end_container(rundir):
        return True
    left = _stragglers(rundir)
    if not left:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        stragglers.end(left, number)
        if _wait(lambda: not _stragglers(rundir), _STRAGGLER_S):
            return True
    raise _survives(rundir)


def end_container(rundir: RunDir) -> bool:
    """End the deployment's container, whatever became of its supervisor; False if there is none."""
    spec = rundir.spec()
    if spec is None or spec.container is None:
        return False
    from modelscan.supervisor.containers import supervised

    return supervised.clear(spec.container)


def _stragglers(rundir: RunDir) -> tuple[Identity, ...]:
    """The processes of the run besides supervisor and engine. The embedded engine starts none."""
    spec = rundir.spec()
    if spec is None or spec.embedded or spec.container is not None:
        return ()
    known = {who.pid for who in _identities(rundir) if who}
    everything = stragglers.of_run(f"{RUN_MARK}={spec.mark}", rundir.lock_file.resolve())
    return tuple(who for who in everything if who.pid not in known)


def _survives(rundir: RunDir) -> RemoteError:
    pids = _pids(rundir)
    return RemoteError(
        f"a process of {rundir.folder.name} does not end: {pids}",
        hint=f"ps -fp {pids}",
        code="engine_survives",
    )


def _wait(done: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(rundir: RunDir, number: signal.Signals) -> None:
    """Signal the supervisor, which ends the engine; the engine itself if the supervisor is gone."""
    _wait(lambda: rundir.running() is not None or not rundir.alive(), _BORN_S)
    supervisor, engine = _identities(rundir)
    if supervisor is None:  # its record cannot be read: the processes that hold the lock
        stragglers.end(stragglers.holding(rundir.lock_file.resolve()), number)
        return
    if number is signal.SIGKILL and engine is not None:
        send(engine, number, group=True)
    sent = supervisor is not None and send(supervisor, number)
    if engine is not None and not sent:
        send(engine, number, group=True)


def _identities(rundir: RunDir) -> tuple[Identity | None, Identity | None]:
    running = rundir.running()
    return (running.supervisor, running.engine) if running else (None, None)


def _pids(rundir: RunDir) -> str:
    recorded = [who for who in _identities(rundir) if who is not None and is_alive(who)]
    every = recorded or stragglers.holding(rundir.lock_file.resolve())
    return ",".join(str(who.pid) for who in (*every, *_stragglers(rundir))) or "-"
