"""Identification of processes: a pid is valid only together with the process's start time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PROC = Path("/proc")
_STATE_FIELD, _START_FIELD = 0, 19  # counted after the command's closing parenthesis, proc(5)


@dataclass(frozen=True, slots=True)
class Identity:
    """``started`` is equal only for the same process: boot id and start ticks on Linux."""

    pid: int
    started: str
    started_at: float | None = None  # epoch seconds, for display


def identify(pid: int) -> Identity | None:
    """The process with that pid; None if there is none or only a zombie."""
    if _PROC.is_dir() and (_PROC / "self").exists():
        return _identify_linux(pid)
    return _identify_psutil(pid)


def is_alive(identity: Identity) -> bool:
    """Whether this process still runs."""
    current = identify(identity.pid)
    return current is not None and current.started == identity.started


def send(identity: Identity, number: signal.Signals, *, group: bool = False) -> bool:
    """Signal this process (or the process group it leads); False if it has ended."""
    if not is_alive(identity):
        return False
    if group:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(identity.pid, number)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(identity.pid, number)  # also if it does not lead a group yet
        return True
    return group


def boot_id() -> str:
    """A value that changes with every boot of this machine."""
    file = _PROC / "sys/kernel/random/boot_id"
    if file.is_file():
        return file.read_text().strip()
    import psutil

    return f"{psutil.boot_time():.0f}"


def die_with_parent(parent: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Linux: receive this signal when the parent process dies. No effect elsewhere."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # the parent died in between


def limit(memory_bytes: int | None, nice: int) -> None:
    """Limit this process and its children: allocations beyond the limit fail; ``nice`` lowers
    priority.

    RLIMIT_DATA counts private writable memory, not mapped files or memory that a GPU driver only
    reserves.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would contain all weights
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    if nice:
        os.nice(nice)


def _identify_linux(pid: int) -> Identity | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    values = text[text.rindex(")") + 2 :].split()
    if values[_STATE_FIELD] in ("Z", "X"):
        return None
    ticks = int(values[_START_FIELD])
    at = _boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    return Identity(pid, f"{boot_id()}:{ticks}", round(at, 2))


def _boot_time() -> float:
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _identify_psutil(pid: int) -> Identity | None:
    import psutil

    try:
        process = psutil.Process(pid)
        created = process.create_time()
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
    except psutil.Error:
        return None
    return Identity(pid, f"{boot_id()}:{created:.2f}", created)


def memory_bytes(pid: int) -> tuple[int | None, int | None]:
    """(resident bytes, those that are not a mapped file); None if they cannot be read.

    The kernel counts mapped weights as available memory, so only the second part is missing from
    ``MemAvailable``.
    """
    try:
        text = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return _memory_psutil(pid)
    fields = {
        name: int(value.split()[0]) * 1024
        for name, _, value in (line.partition(":") for line in text.splitlines())
        if name in ("VmRSS", "RssAnon")
    }
    return fields.get("VmRSS"), fields.get("RssAnon")


def _memory_psutil(pid: int) -> tuple[int | None, int | None]:
    import psutil

    try:
        resident = int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None, None
    return resident, resident
