"""What of a request was sent to other machines: where, how many bytes, and of what kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.routing.table import Operation

if TYPE_CHECKING:
    from modelscan.gateway.data.upload import Upload

# Keys of a body's JSON text. Inside a user's text the quotation marks are escaped: no match.
_KINDS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("tools", (b'"tools"',)),
    (
        "images",
        (b'"image_url"', b'"input_image"', b'"type":"image"', b'"type": "image"', b'"images"'),
    ),
    ("audio", (b'"input_audio"',)),
    ("files", (b'"input_file"', b'"file_data"', b'"type":"document"', b'"type": "document"')),
)  # fmt: skip
_UPLOADS = {"transcription": "audio", "image": "images"}


class LeftBytes:
    """Counts over all attempts of one request."""

    __slots__ = ("_kinds", "_operation", "bytes", "hosts")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._kinds: dict[str, None] = {}
        self.bytes = 0
        self.hosts: dict[str, None] = {}

    def add(self, host: str, body: bytes) -> None:
        """A body (empty: it is uploaded piece by piece) was sent to a host."""
        self.hosts[host] = None
        self.bytes += len(body)
        if not body:
            return
        self._kinds["text"] = None
        for kind, marks in _KINDS:
            if any(mark in body for mark in marks):
                self._kinds[kind] = None

    def total(self, upload: Upload | None) -> int:
        """All bytes, with those of a streamed body."""
        return self.bytes + (0 if upload is None else upload.received)

    def kinds(self, upload: Upload | None) -> tuple[str, ...]:
        """What they are: text, tools, images, audio, files."""
        if not self.total(upload):
            return ()
        return tuple(self._kinds) or (_UPLOADS.get(self._operation, "files"),)
