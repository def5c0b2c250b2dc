"""A deployment's folder: the supervisor's task, the running processes, and the engine's end.

Liveness is never derived from a pid: supervisor and engine hold ``alive.lock`` (flock, which the
kernel releases with its last holder, also after kill -9 and a reboot). The command that starts them
locks it, writes ``spec.json`` and passes the locked file descriptor on: the lock is never free
while a process is starting.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from modelscan.core.end_cause import EndCause
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import NotReadable, from_json
from modelscan.state.files import ensure_dir, write_atomic
from modelscan.supervisor.containers.handle import ContainerHandle
from modelscan.supervisor.processes import Identity

_POLL_S, _OBSERVED_S = 0.002, 0.02
_TOLD = "told-to-stop"
RUN_MARK = "MODELSCAN_RUN"
_OF_ONE_RUN = ("process.json", "ready.json", "ended.json", "restarts.json", _TOLD)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One start of one engine. ``argv`` is the whole command.

    With ``embedded`` it is modelscan's own launcher, which the supervisor calls after a fork
    instead of starting another interpreter. ``env`` is added to the inherited environment;
    ``secrets`` maps a variable to a *reference*. With ``container``, ``argv`` is the runtime's
    command, which stays in the foreground, and the variables are the container's.
    """

    run_id: str
    name: str
    argv: tuple[str, ...]
    embedded: bool
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    stop_grace_s: float = 5.0
    log_limit_bytes: int = 4 << 20
    restart: str = "no"  # a policy of ``supervisor.restarts``
    restart_limit: int = 5
    restart_delay_s: float = 0.5  # before the first restart
    healthy_s: float = 300.0  # after this many seconds without an end, the restart count is reset
    idle_s: float | None = None  # seconds without a request after which it is ended
    host: str = "127.0.0.1"
    port: int = 0  # 0: no port to check
    memory_limit_bytes: int | None = None
    nice: int = 0
    container: ContainerHandle | None = None

    @property
    def mark(self) -> str:
        """The value of MODELSCAN_RUN in the environment of the engine and what it starts."""
        return f"{self.name}/{self.run_id}"


@dataclass(frozen=True, slots=True)
class RunningProcesses:
    """The processes; ``engine`` is None for the moment before the fork."""

    run_id: str
    supervisor: Identity
    engine: Identity | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the engine ended: an exit code, or the signal that killed it.

    ``cause`` is idle, told_to_stop (SIGTERM to the supervisor, which is also how ``stop`` ends it)
    or crashed (everything else; its meaning depends on whether the engine had been ready).
    """

    run_id: str
    code: int | None
    signal: int | None
    cause: EndCause
    at: str
    restarts: int = 0  # restarts before this end

    @property
    def on_purpose(self) -> bool:
        """Whether the supervisor ended it on request."""
        return self.cause is not EndCause.CRASHED


@dataclass(frozen=True, slots=True)
class Restarts:
    """A crash of the engine after which it was or will be restarted."""

    run_id: str
    count: int
    limit: int
    reason: str  # reason of the last end, not redacted
    at: str
    waiting: bool  # the next start is pending; False: it was started


@dataclass(frozen=True, slots=True)
class RunDir:
    """The folder of one deployment."""

    folder: Path

    @property
    def log_file(self) -> Path:
        """The engine's log."""
        return self.folder / "engine.log"

    @property
    def ready_file(self) -> Path:
        """The file that exists once the engine is ready."""
        return self.folder / "ready.json"

    @property
    def lock_file(self) -> Path:
        """The file that is locked while supervisor or engine lives."""
        return self.folder / "alive.lock"

    @contextlib.contextmanager
    def claim(self, spec: ProcessSpec) -> Iterator[int | None]:
        """Write the spec and yield the locked descriptor for the supervisor to inherit.

        Yields None and writes nothing while another run is alive. Leaving the context closes only
        our copy.
        """
        ensure_dir(self.folder)
        with self._exclusive() as fd:
            if fd is not None:
                for name in _OF_ONE_RUN:
                    (self.folder / name).unlink(missing_ok=True)
                self._write("spec.json", asdict(spec))
            yield fd

    def spec(self) -> ProcessSpec | None:
        """What to start; None before the first start."""
        return _read_as(ProcessSpec, self._read("spec.json"))

    def alive(self) -> bool:
        """Whether supervisor or engine lives."""
        try:
            fd = os.open(self.lock_file, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[int | None]:
        fd = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield fd if _lock(fd) else None
        finally:
            os.close(fd)

    def write_running(self, running: RunningProcesses) -> None:
        """Record the processes of this start."""
        self._write("process.json", asdict(running))

    def running(self) -> RunningProcesses | None:
        """Contents of process.json; only valid while ``alive()`` is true."""
        value = self._read("process.json") or {}
        run_id, supervisor = value.get("run_id"), _identity(value.get("supervisor"))
        if not isinstance(run_id, str) or supervisor is None:
            return None
        return RunningProcesses(run_id, supervisor, _identity(value.get("engine")))

    def write_ready(self, value: Mapping[str, Any]) -> None:
        """Record that the engine is ready, with what it reported."""
        self._write("ready.json", value)

    def is_ready(self) -> bool:
        """Whether this engine has answered requests since its last start."""
        return self.ready_file.exists()

    def ready(self) -> Mapping[str, Any] | None:
        """What the engine reported when it became ready; None before."""
        return self._read("ready.json")

    def note_told_to_stop(self) -> None:
        """Record that the supervisor got the order to end the engine."""
        with contextlib.suppress(OSError):  # a full disk keeps no engine alive
            (self.folder / _TOLD).touch(mode=0o600)

    def told_to_stop(self) -> bool:
        """Whether the supervisor got the order to end the engine, which may take a moment."""
        return (self.folder / _TOLD).exists()

    def write_ended(self, ended: Ended) -> None:
        """Record how the engine ended."""
        self._write("ended.json", asdict(ended))

    def ended(self) -> Ended | None:
        """How the engine ended; None while it runs."""
        value = self._read("ended.json")
        return _ended(value) if value else None

    def write_restarts(self, restarts: Restarts) -> None:
        """Record the restarts so far."""
        self._write("restarts.json", asdict(restarts))

    def restarts(self) -> Restarts | None:
        """The restarts so far; None if none is recorded."""
        return _read_as(Restarts, self._read("restarts.json"))

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        write_atomic(self.folder / name, json.dumps(value))

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value = json_value((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None


def _identity(value: Any) -> Identity | None:
    """A process; None for values of another kind."""
    if not isinstance(value, Mapping):
        return None
    pid, started, at = value.get("pid"), value.get("started"), value.get("started_at")
    if type(pid) is not int or pid < 1 or not isinstance(started, str):
        return None
    return Identity(pid, started, at if isinstance(at, float) else None)


def _read_as(kind: type[T], value: Mapping[str, Any] | None) -> T | None:
    """A flat record, also of another release: fields unknown to this release are dropped. None for
    values of another kind."""
    if value is None:
        return None
    try:
        return from_json(kind, value)
    except NotReadable:
        return None


def _ended(value: Mapping[str, Any]) -> Ended | None:
    """Releases up to 9fb7434 wrote two flags instead of a cause."""
    if "cause" not in value:
        told = EndCause.TOLD_TO_STOP if value.get("asked") else EndCause.CRASHED
        value = {**value, "cause": (EndCause.IDLE if value.get("idle") else told).value}
    return _read_as(Ended, value)


def _lock(fd: int) -> bool:
    """Lock it; False while a run is alive.

    An observer holds a shared lock for an instant, which is long on a busy machine: while others
    share the lock, only observers hold it.
    """
    deadline = time.monotonic() + _OBSERVED_S
    while not _try(fd, fcntl.LOCK_EX):
        shared = _try(fd, fcntl.LOCK_SH)
        if shared:
            fcntl.flock(fd, fcntl.LOCK_UN)
            deadline = max(deadline, time.monotonic() + _POLL_S)
        elif time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _try(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
