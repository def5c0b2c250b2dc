"""Finds the field ``model`` in a multipart form that passes through, without keeping the form."""

from __future__ import annotations

import re

_MAX_PART_HEAD = 16_384
_MAX_MODEL = 1024
_NAME = re.compile(rb'content-disposition:[^\r\n]*?[;\s]name="?model"?\s*(?:;|\r|$)', re.IGNORECASE)


class FormError(Exception):
    """The form is not what multipart/form-data allows."""


class FormScanner:
    """Reads a form in pieces of any size; ``model`` and where its value is, once found.

    ``start`` and ``end`` are offsets in the form. ``finished``: nothing more is to be found.
    """

    __slots__ = ("_base", "_buffer", "_delimiter", "_read", "end", "finished", "model", "start")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may lack the line break before it
        self._base = -2  # the offset of the buffer's first byte
        self._read = self._skip
        self.model: str | None = None
        self.start = self.end = 0
        self.finished = False

    def feed(self, data: bytes) -> None:
        """Read on. Raises FormError."""
        self._buffer += data
        while not self.finished and self._read():
            pass
        if self.finished:
            self._buffer = b""

    def _cut(self, count: int) -> bytes:
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        self._base += count
        return taken

    def _skip(self) -> bool:
        """Content of a part that is not needed: drop it up to the next delimiter."""
        at = self._buffer.find(self._delimiter)
        if at < 0:
            self._cut(max(0, len(self._buffer) - len(self._delimiter) + 1))
            return False
        self._cut(at)
        self._read = self._after_delimiter
        return True

    def _after_delimiter(self) -> bool:
        end = len(self._delimiter)
        mark = self._buffer[end : end + 2]
        if len(mark) < 2:
            return False
        if mark == b"--":
            self.finished = True
        elif mark == b"\r\n":
            self._cut(end)
            self._read = self._part_head
        else:  # a longer word that begins like the delimiter is content
            self._cut(end)
            self._read = self._skip
        return True

    def _part_head(self) -> bool:
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > _MAX_PART_HEAD:
                raise FormError("the head of a part of the form is too large")
            return False
        head = self._cut(at + 4)
        if _NAME.search(head):
            self.start = self._base
            self._read = self._model
        else:
            self._read = self._skip
        return True

    def _model(self) -> bool:
        at = self._buffer.find(self._delimiter)
        if at < 0:
            if len(self._buffer) > _MAX_MODEL + len(self._delimiter):
                raise FormError("the field model of the form is too long")
            return False
        value = self._cut(at)
        if len(value) > _MAX_MODEL:
            raise FormError("the field model of the form is too long")
        try:
            self.model = value.decode()
        except UnicodeDecodeError:
            raise FormError("the field model of the form is not UTF-8") from None
        self.end = self._base
        self.finished = True
        return True
