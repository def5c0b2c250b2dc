"""What a worker sends, gathered over one turn of its event loop.

A write wakes the process that reads. Where one write follows each read, a peer falls asleep again
between two of them, and waking it costs the sender more than the write; sent together, it stays
awake for all. The order of writes to one connection is kept.
"""

from __future__ import annotations

import asyncio

MOST = 64
"""Writes that are gathered: about two milliseconds of work at the most."""


class Writes:
    """The writes of this turn; before a connection is closed in order, ``flush`` is called."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send bytes at the end of this turn."""
        waiting = self._waiting
        waiting.append((transport, data))
        if len(waiting) == 1:
            self._loop.call_soon(self.flush)
        elif len(waiting) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Send everything now; what was for a connection that closed meanwhile is dropped."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)
