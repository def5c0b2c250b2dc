"""A deployment's folder: what its supervisor is to run, who runs, how it ended.

Whether something runs is never guessed from a pid: supervisor and engine hold ``alive.lock``
(flock, which the kernel drops with its last holder, also after kill -9 and a reboot). A start
is *claimed*: the supervisor takes the lock, then checks that ``spec.json`` still asks for its
run. ``retire`` removes the spec under the same lock, so a supervisor that comes late (its
command was killed, somebody else already reported the start as failed) finds nothing to do.
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
from typing import Any

from modelscan.engines.processes import Identity
from modelscan.state.files import ensure_dir, write_atomic

_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Spec:
    """One start of one engine.

    ``argv`` is the whole command. With ``embedded`` it is our own launcher, which the
    supervisor calls after a fork instead of starting another interpreter. ``env`` is added to
    the inherited environment; ``secrets`` maps a variable to a *reference*.
    """

    run_id: str
    name: str
    argv: tuple[str, ...]
    embedded: bool
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    stop_grace_s: float = 5.0
    log_limit_bytes: int = 4 << 20


@dataclass(frozen=True, slots=True)
class Running:
    """Who runs; ``engine`` is None for the moment before the fork."""

    run_id: str
    supervisor: Identity
    engine: Identity | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the engine ended: an exit code, or the signal that killed it."""

    run_id: str
    code: int | None
    signal: int | None
    asked: bool  # a stop was asked for
    at: str


@dataclass(frozen=True, slots=True)
class RunDir:
    """The folder of one deployment."""

    folder: Path

    @property
    def spec_file(self) -> Path:
        return self.folder / "spec.json"

    @property
    def log_file(self) -> Path:
        return self.folder / "engine.log"

    @property
    def ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def ended_file(self) -> Path:
        return self.folder / "ended.json"

    def prepare(self, spec: Spec) -> bool:
        """Write what the next supervisor is to run; False, and nothing done, while one lives.

        The caller holds the deployment's lock.
        """
        ensure_dir(self.folder)
        with self._exclusive() as free:
            if free:
                for name in ("process.json", "ready.json", "ended.json"):
                    (self.folder / name).unlink(missing_ok=True)
                self._write("spec.json", asdict(spec))
            return free

    def spec(self) -> Spec | None:
        value = self._read("spec.json")
        if value is None:
            return None
        return Spec(**{**value, "argv": tuple(value["argv"])})

    def alive(self) -> bool:
        """Whether supervisor or engine lives."""
        try:
            fd = os.open(self.folder / "alive.lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def claim(self, run_id: str, *, timeout_s: float = 2.0) -> Spec | None:
        """Take the lock for the life of this process; None when this run is not wanted."""
        try:
            fd = os.open(self.folder / "alive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None  # the deployment was removed meanwhile
        if not _lock(fd, timeout_s):
            os.close(fd)
            return None
        spec = self.spec()
        if spec is None or spec.run_id != run_id:
            os.close(fd)
            return None
        os.set_inheritable(fd, True)  # the engine and its children hold it, too
        return spec

    def retire(self) -> bool:
        """Make sure no start of ours can come to life any more; False if one lives."""
        with self._exclusive() as free:
            if free:
                self.spec_file.unlink(missing_ok=True)
            return free

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[bool]:
        if not self.folder.is_dir():
            yield True
            return
        fd = os.open(self.folder / "alive.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            yield _lock(fd, 0.0)
        finally:
            os.close(fd)

    def write_running(self, running: Running) -> None:
        self._write("process.json", asdict(running))

    def running(self) -> Running | None:
        """Who runs, as they said; believe it only while ``alive()``."""
        value = self._read("process.json")
        if value is None:
            return None
        engine = value["engine"]
        return Running(
            value["run_id"],
            Identity(**value["supervisor"]),
            Identity(**engine) if engine else None,
        )

    def write_ready(self, value: Mapping[str, Any]) -> None:
        self._write("ready.json", value)

    def ready(self) -> Mapping[str, Any] | None:
        return self._read("ready.json")

    def write_ended(self, ended: Ended) -> None:
        self._write("ended.json", asdict(ended))

    def ended(self) -> Ended | None:
        value = self._read("ended.json")
        return Ended(**value) if value else None

    def _write(self, name: str, value: Mapping[str, Any]) -> None:
        write_atomic(self.folder / name, json.dumps(value))

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return value


def _lock(fd: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        else:
            return True
