"""A deadline for a whole HTTP exchange: closes its connections when the time has passed."""

from __future__ import annotations

import contextlib
import os
import socket
import threading


class Deadline:
    """Closes all connections of one exchange after ``seconds`` (None: only when ``cut`` is called).

    A timeout per read does not stop a server that keeps sending single bytes, neither in the
    headers nor in the body. Descriptors are duplicated because TLS detaches the original.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.expired = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = None if seconds is None else threading.Timer(seconds, self.cut)

    def __enter__(self) -> Deadline:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # the supervisor forks later, when no other thread may run
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()

    def cut(self) -> None:
        """Close all connections of this exchange now (also called for Ctrl-C)."""
        self.expired = True
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):  # already closed
                    sock.shutdown(socket.SHUT_RDWR)

    def watch(self, opened: socket.socket) -> None:
        """Close this connection too when the time has passed."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(opened.fileno())))
        if self.expired:
            self.cut()
