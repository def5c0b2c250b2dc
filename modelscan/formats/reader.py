"""Turns an open file into the ``read(offset, size)`` function of the header parsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO


def reader(stream: BinaryIO) -> Callable[[int, int], bytes]:
    """A function that reads ``size`` bytes from an offset; fewer only at the end of the file."""

    def read(offset: int, size: int) -> bytes:
        stream.seek(offset)
        return stream.read(size)

    return read
