"""Decompression of a body in small pieces, so that a limit on its size holds in memory too.

One layer of gzip, which is what is requested: kilobytes of gzip within gzip unpack to gigabytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from modelscan.net.errors import TransportFailure

ACCEPTED = "gzip"
_PIECE_BYTES = 65536
_GZIP = 16 + zlib.MAX_WBITS


class Decoder:
    """The decoder of one body by its ``Content-Encoding``. Raises TransportFailure for another."""

    def __init__(self, encoding: str | None) -> None:
        kind = (encoding or "identity").strip().lower()
        if kind not in ("identity", "gzip", "x-gzip"):
            raise TransportFailure("broken", f"it is encoded as '{kind[:40]}', not as requested")
        self._inflate = None if kind == "identity" else zlib.decompressobj(_GZIP)
        self._begun = False

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The decoded bytes of the next part. Raises TransportFailure for damaged data."""
        if self._inflate is None:
            yield data
            return
        self._begun = self._begun or bool(data)
        while data:
            try:
                piece = self._inflate.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise TransportFailure("broken", f"its compression is damaged: {error}") from error
            data = self._inflate.unconsumed_tail
            if self._inflate.eof and self._inflate.unused_data:  # a file of several members
                data, self._inflate = self._inflate.unused_data, zlib.decompressobj(_GZIP)
            if piece:
                yield piece

    def end(self) -> None:
        """Raises TransportFailure if the body ended too early; a HEAD's has none."""
        if self._inflate is not None and self._begun and not self._inflate.eof:
            raise TransportFailure("broken", "its compressed body is cut off")
