"""Signal handling while a deployment is started."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class interruptible:
    """Treat SIGTERM and SIGHUP (a closed terminal) like Ctrl-C, which undoes a deploy."""

    def __enter__(self) -> None:
        self._before = [
            (number, signal.signal(number, self._interrupt))
            for number in (signal.SIGTERM, signal.SIGHUP)
        ]

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    @staticmethod
    def _interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Ignore a further Ctrl-C during a clean-up. Only the main thread can set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
