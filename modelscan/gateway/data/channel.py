"""The worker's socket to the serving process: snapshots come in, receipts go out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from modelscan.gateway.snapshot import FromWorker, Snapshot

_MOST_WAITING = 4 * 1024 * 1024
_encode = msgspec.msgpack.Encoder().encode


def frame(message: Snapshot | FromWorker) -> bytes:
    """A message with its length before it: 4 bytes, big endian."""
    data = _encode(message)
    return len(data).to_bytes(4, "big") + data


class Channel(asyncio.Protocol):
    """``apply`` gets each snapshot (msgpack), ``ended`` is called when the other end is gone."""

    def __init__(self, apply: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._apply = apply
        self._ended = ended
        self._buffer = bytearray()
        self._lost = asyncio.Event()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Parts of snapshots."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= 4:
            end = 4 + int.from_bytes(buffer[:4], "big")
            if len(buffer) < end:
                return
            message = bytes(buffer[4:end])
            del buffer[:end]
            self._apply(message)

    def send(self, message: FromWorker) -> bool:
        """Send a message; False: too much of it waits to be read already."""
        if self._transport.is_closing() or self._transport.get_write_buffer_size() > _MOST_WAITING:
            return False
        self._transport.write(frame(message))
        return True

    async def close(self) -> None:
        """End after what was sent is written, at most two seconds later.

        The size of the write buffer does not tell: uvloop fills it at the end of the iteration.
        """
        self._transport.close()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._lost.wait(), 2.0)

    def connection_lost(self, error: Exception | None) -> None:
        """The serving process is gone."""
        self._lost.set()
        self._ended()
