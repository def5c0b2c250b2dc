"""A file that is open for reading, as the ``read(offset, size)`` that the header parsers take."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO


def reader(stream: BinaryIO) -> Callable[[int, int], bytes]:
    """Bytes from an offset; fewer only at the end of the file."""

    def read(offset: int, size: int) -> bytes:
        stream.seek(offset)
        return stream.read(size)

    return read
