"""One request as it is received."""

from __future__ import annotations

from modelscan.gateway.data.errors import RefusedError
from modelscan.gateway.data.form import FormScanner
from modelscan.gateway.data.head import HeadFacts
from modelscan.gateway.data.upload import Upload
from modelscan.routing.table import Operation

CHUNKED = -1


class ClientRequest:
    """``length`` of the body, or CHUNKED. ``old``: HTTP/1.0. ``operation`` None: control.

    ``body`` collects a JSON body; ``upload`` is there instead where the body is streamed.
    ``refusal``: what it is answered with, when its turn comes. ``request_id``: the client's, else
    the gateway's once work begins; ``trace_id``: the same as it is stored.
    """

    __slots__ = (
        "body", "continue_due", "facts", "held", "keep", "length", "method", "old", "operation",
        "path", "received", "refusal", "request_id", "scanner", "target", "trace_id", "upload",
    )  # fmt: skip

    def __init__(self) -> None:
        self.target = self.path = self.method = b""
        self.body: bytes | bytearray = b""
        self.received = self.length = self.held = 0
        self.old = self.continue_due = False
        self.keep = True
        self.operation: Operation | None = None
        self.upload: Upload | None = None
        self.scanner: FormScanner | None = None
        self.refusal: RefusedError | None = None
        self.request_id, self.trace_id = b"", ""
        self.facts: HeadFacts

    def add(self, data: bytes) -> None:
        """Bytes of a JSON body."""
        if not self.received and len(data) == self.length:
            self.body = data  # arrived in one piece: no copy
        elif self.received:
            self.body += data
        else:
            self.body = bytearray(data)
        self.received += len(data)

    @property
    def id_line(self) -> bytes:
        """The header line of the answer; empty before there is an id."""
        return b"x-request-id: %b\r\n" % self.request_id if self.request_id else b""

    def again(self, body: bytes) -> ClientRequest:
        """A request with the same head and another body."""
        request = ClientRequest()
        request.target, request.path, request.method = self.target, self.path, self.method
        request.facts, request.operation = self.facts, self.operation
        request.request_id, request.trace_id = self.request_id, self.trace_id
        request.body = body
        request.received = request.length = len(body)
        return request
