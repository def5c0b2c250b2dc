"""An answer on its way to the client: held while it is short, then streamed in its framing."""

from __future__ import annotations

from modelscan.gateway.data.errors import start_line
from modelscan.gateway.data.limits import HOLD
from modelscan.gateway.data.upstream import Upstream
from modelscan.gateway.data.usage import Tail


class RelayedAnswer:
    """The bytes to write for what a backend sent. ``committed``: the client has some of
    them; ``is_whole``: it gets all of them at once."""

    __slots__ = (
        "_chunked", "_extra", "_held", "_hold", "_length", "_old", "committed", "headers",
        "is_whole", "size", "status", "tail",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, extra: bytes, old: bool) -> None:
        """``extra``: further header lines. ``old``: HTTP/1.0, which has no chunks."""
        self.status = upstream.status
        self.headers = upstream.headers
        self._length = -1 if upstream.chunked else upstream.length
        self._extra = extra
        self._old = old
        if self._length >= 0:
            self._hold = self._length <= HOLD
        else:
            self._hold = upstream.content_type.startswith(b"application/json")
        self._held: list[bytes] = []
        self._chunked = False
        self.committed = self.is_whole = False
        self.size = 0
        self.tail = Tail()

    def continue_opened(self) -> None:
        """Its head is out already, as that of an event stream in chunks."""
        self._hold = False
        self._length = -1
        self.committed = self._chunked = True

    def chunk(self, data: bytes) -> bytes:
        """What to write now for a piece of the body; nothing while the answer is held."""
        self.size += len(data)
        self.tail.add(data)
        if self._hold:
            self._held.append(data)
            if self.size <= HOLD:
                return b""
            data = self._release()
        if self.committed:
            return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        return self._head(self._length) + self._framed(data)

    def end(self, data: bytes, body: bool = True) -> bytes:
        """What to write for the end; ``body`` False: the answer to HEAD."""
        if data:
            self.size += len(data)
            self.tail.add(data)
        if self.committed:
            last = self._framed(data) if data else b""
            return last + b"0\r\n\r\n" if self._chunked else last
        if not self._hold and self._length < 0 and body and not self._bodiless:
            return self._head(-1) + self._framed(data) + (b"0\r\n\r\n" if self._chunked else b"")
        if self._held:
            self._held.append(data)
            data = self._release()
        length = self._length if not body and self._length >= 0 else len(data)
        self.is_whole = True
        head = self._head(-2 if self._bodiless else length)
        return head + data if body else head

    @property
    def _bodiless(self) -> bool:
        return self.status in (204, 304)

    def broken_off(self, reason: str) -> bytes:
        """What to write before the connection closes in the middle of the answer."""
        return b""

    def keep_alive(self, now: float, silent_s: float) -> bytes:
        """What to write while the backend is silent; most dialects have nothing for it."""
        return b""

    def held(self, last: bytes) -> bytes:
        """The whole body of an answer that is still held."""
        return b"".join([*self._held, last])

    def _release(self) -> bytes:
        self._hold = False
        data = b"".join(self._held)
        self._held.clear()
        return data

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self._chunked and data else data

    def _head(self, length: int) -> bytes:
        """The head; ``length`` -1: not known, -2: this status has no body."""
        self.committed = True
        if length >= 0:
            framing = b"content-length: %d\r\n" % length
        elif length == -2 or self._old:
            framing = b""
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        headers = b"".join(self.headers)
        return b"%b%b%b%b\r\n" % (start_line(self.status), headers, framing, self._extra)
