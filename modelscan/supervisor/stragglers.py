"""Processes of a run that left the engine's process group: a start script that uses ``setsid``.

Three marks find them on Linux: the run in their environment, the lock file of the run among their
open files, and the supervisor as an ancestor (it adopts what a script leaves behind).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelscan.supervisor.processes import Identity, identify, send

_PROC = Path("/proc")
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Linux: processes whose parent ends become children of this one, not of init."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(ancestor: int) -> None:
    """Kill every process below ``ancestor``, and collect those that it must collect."""
    for _ in range(10):  # a process may fork while it is being killed
        below = list(descendants(ancestor))
        for pid in below:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not below:
            return


def descendants(ancestor: int) -> Iterator[int]:
    """The living processes below a process; none where the system does not list them."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    todo = list(children.get(ancestor, ()))
    while todo:
        pid = todo.pop()
        yield pid
        todo += children.get(pid, ())


def _parents() -> Iterator[tuple[int, int]]:
    for pid in _pids():
        with contextlib.suppress(OSError, ValueError, IndexError):
            text = (_PROC / str(pid) / "stat").read_text()
            state, parent = text[text.rindex(")") + 2 :].split()[:2]
            if state not in "ZX":
                yield pid, int(parent)


def of_run(mark: str, lock: Path) -> tuple[Identity, ...]:
    """The processes with this run in their environment (``mark``: NAME=VALUE), or with its lock
    file open; this process is not among them.
    """
    found = [pid for pid in _pids() if pid != os.getpid() and _belongs(pid, mark.encode(), lock)]
    return tuple(who for who in map(identify, found) if who is not None)


def holding(lock: Path) -> tuple[Identity, ...]:
    """The processes with this lock file open: supervisor and engine, whatever their record says."""
    found = [pid for pid in _pids() if pid != os.getpid() and _holds(pid, lock)]
    return tuple(who for who in map(identify, found) if who is not None)


def end(processes: Iterable[Identity], number: signal.Signals) -> None:
    """Signal them; one that has ended, or whose pid was reused, is left out."""
    for process in processes:
        send(process, number)


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                yield int(entry.name)


def _belongs(pid: int, mark: bytes, lock: Path) -> bool:
    folder = _PROC / str(pid)
    try:
        if mark in (folder / "environ").read_bytes().split(b"\0"):
            return True
    except OSError:
        return False  # of another user, or gone
    return _holds(pid, lock)


def _holds(pid: int, lock: Path) -> bool:
    try:
        return any(_is_link_to(link, lock) for link in (_PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


def _is_link_to(link: Path, file: Path) -> bool:
    try:
        return link.readlink() == file
    except OSError:
        return False
