"""Requests to servers of this machine with ``http.client``: no httpx, never a proxy, no TLS.

Importing httpx takes as long as a whole ``modelscan list``; a health check does without.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from modelscan import __version__
from modelscan.net.deadline import Deadline
from modelscan.net.errors import FailureKind, TransportFailure
from modelscan.net.exchange import Request

_CHUNK_BYTES = 65536


class LocalResponse:
    """A response of http.client; its length is checked here, because ``read1`` does not."""

    def __init__(self, response: http.client.HTTPResponse, method: str) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {n.lower(): v for n, v in response.getheaders()}
        self._response = response
        self._left = 0 if method == "HEAD" else response.length  # None: chunked, or until the end

    def parts(self) -> Iterator[bytes]:
        """The body as it arrives; raises TransportFailure when it breaks off."""
        if self.headers.get("content-encoding", "identity") != "identity":
            raise TransportFailure("broken", "it is compressed, which was not requested")
        left = self._left
        while left != 0:
            with _translated():
                part = self._response.read1(_CHUNK_BYTES if left is None else left)
            if not part and left is not None:
                raise TransportFailure("broken", f"{left} bytes are missing")
            if not part:
                return
            left = None if left is None else left - len(part)
            yield part


class LocalTransport:
    """One connection per request: a deadline owns its connection."""

    @contextmanager
    def open(
        self, request: Request, silence_s: float, deadline: Deadline
    ) -> Iterator[LocalResponse]:
        """The response's head; raises TransportFailure. ``silence_s`` bounds each wait."""
        parts = urlsplit(request.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=silence_s)
        with closing(connection):
            with _translated("connect"):
                connection.connect()
            deadline.watch(connection.sock)
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            with _translated():
                connection.request(request.method, target, request.body, _headers(request))
                response = connection.getresponse()
            with closing(response):  # the connection no longer knows it
                yield LocalResponse(response, request.method)

    def close(self) -> None:
        """Nothing is kept open."""


def _headers(request: Request) -> dict[str, str]:
    own = {"User-Agent": f"modelscan/{__version__}", "Connection": "close"}
    return {**own, "Accept-Encoding": "identity", **request.headers}


@contextmanager
def _translated(kind: FailureKind = "broken") -> Iterator[None]:
    """The library's errors as TransportFailure of that kind, or of a timeout."""
    try:
        yield
    except TimeoutError as error:
        raise TransportFailure("timeout", str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TransportFailure(kind, str(error) or type(error).__name__) from error
