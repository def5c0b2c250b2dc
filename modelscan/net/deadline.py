"""What keeps one request short: a deadline for everything, and how long a server asks to wait."""

from __future__ import annotations

import contextlib
import email.utils
import os
import re
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any

_RATE_LIMIT = re.compile(r"r=(?P<left>\d+)\s*;\s*t=(?P<reset_s>\d+)")


class Deadline:
    """Cuts the connection when the time is over.

    Timeouts per read do not stop a server that sends one byte now and then, neither in the headers
    nor in the body. The socket is reached through httpcore's documented ``trace`` extension; its
    descriptor is duplicated because TLS takes the original away.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self.cut)
        self._timer.daemon = True
        self._started = time.monotonic()

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets.clear()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def cut(self) -> None:
        """End every connection of this request now (also called for Ctrl-C)."""
        self.expired = True
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):  # already gone
                    sock.shutdown(socket.SHUT_RDWR)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """httpcore's hook: remember the socket of each connection as it is opened."""
        if event != "connection.connect_tcp.complete":
            return
        stream = info.get("return_value")
        opened = stream.get_extra_info("socket") if stream is not None else None
        if opened is None:
            return
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(opened.fileno())))
        if self.expired:
            self.cut()


def wait_asked_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds a server asks to wait: ``Retry-After`` (seconds or a date), else ``RateLimit``.

    ``RateLimit: "api";r=0;t=55`` is the form the Hugging Face hub sends (r left, t seconds to the
    next window). None when it asks for nothing.
    """
    after = headers.get("retry-after", "").strip()
    if after.isdigit():
        return float(after)
    if after:
        with contextlib.suppress(ValueError, TypeError):
            then = email.utils.parsedate_to_datetime(after).timestamp()
            return max(0.0, then - (time.time() if now is None else now))
    limit = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    if limit and int(limit["left"]) == 0:
        return float(limit["reset_s"])
    return None
