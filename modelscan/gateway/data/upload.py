"""A request's body on its way to a backend while the client still sends it."""

from __future__ import annotations

import tempfile
from typing import IO, Protocol

from modelscan.gateway.data.limits import HOLD
from modelscan.gateway.data.upstream import Upstream

_BLOCK = 65_536


class UploadSource(Protocol):
    """The client's side of an upload."""

    def pause_upload(self) -> None:
        """Read no more of the body."""

    def resume_upload(self) -> None:
        """Read on."""


class Upload:
    """Bytes of a body: kept until a backend is chosen, then passed on as they arrive.

    Up to ``HOLD`` bytes are kept for a second attempt. What arrives before the choice beyond that
    is in a temporary file, so that a form whose model comes last is not held in memory.
    """

    __slots__ = (
        "_chunked", "_kept", "_live", "_paused", "_source", "_spool", "_spool_at", "closed",
        "complete", "in_memory", "received", "replayable", "upstream",
    )  # fmt: skip

    def __init__(self, source: UploadSource) -> None:
        self._source = source
        self._kept: list[bytes] = []
        self._spool: IO[bytes] | None = None
        self._spool_at = 0
        self._live = self._paused = self._chunked = False
        self.upstream: Upstream | None = None
        self.received = 0
        self.in_memory = 0
        self.replayable = True
        self.complete = self.closed = False

    # From the client

    def feed(self, data: bytes) -> None:
        """Bytes of the body, in order."""
        if self.closed:
            return
        self.received += len(data)
        if self._spool is not None:
            self._to_spool(data)
            self._pump()
            return
        if self.replayable and self.in_memory + len(data) <= HOLD:
            self._kept.append(data)
            self.in_memory += len(data)
        elif self._live:
            self._forget()
        else:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the request)
            for piece in self._kept:
                self._to_spool(piece)
            self._to_spool(data)
            self._forget()
            self.replayable = True  # from the file
            return
        if self._live:
            self._write(data)

    def finish(self) -> None:
        """The body is complete."""
        self.complete = True
        if self._live and self._spool is None:
            self._end()
        else:
            self._pump()

    def replace(self, start: int, end: int, value: bytes) -> None:
        """Other bytes in place of ``start`` to ``end`` of what has been received so far."""
        if self._spool is None:
            body = b"".join(self._kept)
            self._kept = [body[:start] + value + body[end:]]
            return
        spool, self._spool = self._spool, tempfile.TemporaryFile()  # noqa: SIM115
        spool.seek(0)
        _copy(spool, self._spool, start)
        self._spool.write(value)
        spool.seek(end)
        _copy(spool, self._spool, None)
        spool.close()

    # To the backend

    def start(self, upstream: Upstream, chunked: bool) -> None:
        """Send what is here over a connection, and then what arrives."""
        self.upstream = upstream
        self._live, self._chunked, self._paused = True, chunked, False
        upstream.uploading = True
        if self._spool is not None:
            self._spool_at = 0
            self._pump()
            return
        for piece in self._kept:
            self._write(piece)
        if self.complete:
            self._end()

    def stop(self) -> None:
        """The attempt failed; another one may ``start``."""
        self._live = False
        self.upstream = None
        self.pause(False)

    def pause(self, paused: bool) -> None:
        """Backpressure of the backend."""
        self._paused = paused
        if paused:
            self._source.pause_upload()
        else:
            self._pump()
            if not self._paused:
                self._source.resume_upload()

    def close(self) -> None:
        """Release the memory and the file."""
        self._forget()
        self._live = False
        self.closed = True
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _forget(self) -> None:
        self._kept.clear()
        self.in_memory = 0
        self.replayable = False

    def _to_spool(self, data: bytes) -> None:
        if self._spool is not None:
            self._spool.seek(0, 2)
            self._spool.write(data)

    def _pump(self) -> None:
        """Send from the file until the backend's buffer is full."""
        while self._live and self._spool is not None and not self._paused:
            self._spool.seek(self._spool_at)
            block = self._spool.read(_BLOCK)
            self._spool_at += len(block)
            if block:
                self._write(block)
            elif self.complete:
                self._end()
                return
            else:
                return

    def _write(self, data: bytes) -> None:
        if self.upstream is None or not data:
            return
        transport = self.upstream.transport
        transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def _end(self) -> None:
        if self.upstream is not None:
            self.upstream.uploading = False
            if self._chunked:
                self.upstream.transport.write(b"0\r\n\r\n")
        self._live = False


def _copy(source: IO[bytes], target: IO[bytes], count: int | None) -> None:
    left = count
    while left is None or left > 0:
        block = source.read(_BLOCK if left is None else min(_BLOCK, left))
        if not block:
            return
        target.write(block)
        left = None if left is None else left - len(block)
