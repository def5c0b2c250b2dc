"""HTTP transport for servers on this machine with ``http.client``: no httpx, no proxy.

Importing httpx takes as long as a whole ``modelscan list``; a health check works without it. TLS is
for servers of nodes only, whose addresses are checked when the connection is made.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from urllib.parse import SplitResult, urlsplit

from modelscan import __version__
from modelscan.core.reach import Reach
from modelscan.core.tls import TlsFiles
from modelscan.net.deadline import Deadline
from modelscan.net.errors import FailureKind, TransportFailure
from modelscan.net.exchange import HttpRequest

_CHUNK_BYTES = 65536


class LocalResponse:
    """A response from http.client. Checks the body's length, because ``read1`` does not."""

    def __init__(self, response: http.client.HTTPResponse, method: str) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = {n.lower(): v for n, v in response.getheaders()}
        self._response = response
        self._left = 0 if method == "HEAD" else response.length  # None: chunked, or until the end

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Raises TransportFailure if the connection breaks."""
        if self.headers.get("content-encoding", "identity") != "identity":
            raise TransportFailure("broken", "it is compressed, which was not requested")
        remaining = self._left
        while remaining != 0:
            with _translated():
                part = self._response.read1(_CHUNK_BYTES if remaining is None else remaining)
            if not part and remaining is not None:
                raise TransportFailure("broken", f"{remaining} bytes are missing")
            if not part:
                return
            remaining = None if remaining is None else remaining - len(part)
            yield part


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a unix socket; the host is only named in the request."""

    def __init__(self, host: str, path: str, timeout_s: float) -> None:
        super().__init__(host, timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _CheckedConnection(http.client.HTTPConnection):
    """A connection to an address that the host's name may resolve to; ``secure``: with TLS."""

    def __init__(
        self, host: str, port: int, timeout_s: float, reach: Reach, secure: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._reach, self._secure = reach, secure

    def connect(self) -> None:
        """Look the name up, check what it resolves to, and connect to that."""
        from modelscan.net.reach import connect

        sock = connect(self.host, self.port, self._reach, self.timeout)
        if self._secure is not None:
            sock = self._secure.wrap_socket(sock, server_hostname=self.host)
        self.sock = sock


class LocalTransport:
    """HTTP transport that opens one connection per request: a deadline closes its connections.

    ``unix_socket``: the path of the socket to connect to, instead of the request's address.
    ``reach``: what the request's host may resolve to, and then with the ``files`` of TLS for https.
    """

    def __init__(
        self,
        unix_socket: str | None = None,
        reach: Reach | None = None,
        files: TlsFiles | None = None,
    ) -> None:
        self._unix_socket = unix_socket
        self._reach = reach
        self._files = files or TlsFiles()

    @contextmanager
    def open(
        self, request: HttpRequest, silence_s: float, deadline: Deadline
    ) -> Iterator[LocalResponse]:
        """Send a request and return the response's head. Raises TransportFailure.

        ``silence_s`` limits each wait for data.
        """
        parts = urlsplit(request.url)
        with _translated("connect"):  # of files of certificates that cannot be read
            connection = self._connection(parts, silence_s)
        with closing(connection):
            with _translated("connect"):
                connection.connect()
            deadline.watch(connection.sock)
            target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
            with _translated():
                connection.request(request.method, target, request.body, _headers(request))
                response = connection.getresponse()
            with closing(response):  # the connection does not close it
                yield LocalResponse(response, request.method)

    def _connection(self, parts: SplitResult, silence_s: float) -> http.client.HTTPConnection:
        host, port = parts.hostname or "", parts.port
        if self._unix_socket is not None:
            return _SocketConnection(host, self._unix_socket, silence_s)
        if self._reach is None:
            return http.client.HTTPConnection(host, port, timeout=silence_s)
        context = self._context() if parts.scheme == "https" else None
        port = port or (80 if context is None else 443)
        return _CheckedConnection(host, port, silence_s, self._reach, context)

    def _context(self) -> ssl.SSLContext:
        files = self._files
        context = ssl.create_default_context(cafile=files.ca)
        if files.cert is not None:
            context.load_cert_chain(files.cert, files.key)
        return context

    def close(self) -> None:
        """Nothing to do: no connection stays open."""


def _headers(request: HttpRequest) -> dict[str, str]:
    defaults = {"User-Agent": f"modelscan/{__version__}", "Connection": "close"}
    return {**defaults, "Accept-Encoding": "identity", **request.headers}


@contextmanager
def _translated(kind: FailureKind = "broken") -> Iterator[None]:
    """Turn http.client's errors into TransportFailure of that kind, or "timeout"."""
    try:
        yield
    except TimeoutError as error:
        raise TransportFailure("timeout", str(error)) from error
    except (OSError, UnicodeError, http.client.HTTPException) as error:
        raise TransportFailure(kind, str(error) or type(error).__name__) from error
