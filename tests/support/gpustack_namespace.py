"""A private network with only ``lo``, a way in, and the end of every process in it. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import signal
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Any

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def unavailable() -> str | None:
    """Why there can be no private network here; None when there can."""
    if sys.platform != "linux":
        return "a network namespace needs Linux"
    child = os.fork()
    if child == 0:
        try:
            enter()
        except OSError:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        return "no network namespace: be root, or allow unprivileged user namespaces"
    return None


def enter() -> None:
    """Move this process into a new network and bring its ``lo`` up; raises OSError."""
    user, group = os.getuid(), os.getgid()
    flags = _NEWNET if user == 0 else _NEWNET | _NEWUSER
    if _libc().unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    if user != 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        name = struct.pack("16sh14x", b"lo", 0)
        (flags_now,) = struct.unpack("16xh14x", fcntl.ioctl(handle, _SIOCGIFFLAGS, name))
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags_now | _IFF_UP))


def carry(listener: socket.socket, port: int) -> None:
    """Each connection to the outer socket goes on to 127.0.0.1:port inside."""
    while True:
        outer, _ = listener.accept()
        try:
            inner = socket.create_connection(("127.0.0.1", port), timeout=10)
        except OSError:
            outer.close()
            continue
        inner.settimeout(None)
        for source, sink in ((outer, inner), (inner, outer)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RD if end is source else socket.SHUT_WR)


def nobody() -> dict[str, int]:
    """Popen's arguments to be somebody else where this is root; {} otherwise."""
    if os.getuid() != 0:
        return {}
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid}


def adopt_orphans() -> None:
    """What a worker leaves behind becomes our child, and ends with us."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """In a child before it runs its program."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kill_tree(pid: int, *, itself: bool = True) -> None:
    """A process and everything below it, until nothing is left."""
    import psutil

    for _ in range(50):
        try:
            top = psutil.Process(pid)
            found = [*top.children(recursive=True), *([top] if itself else [])]
        except psutil.NoSuchProcess:
            return
        living = [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        if not living:
            return
        for process in living:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(living, timeout=0.2)
