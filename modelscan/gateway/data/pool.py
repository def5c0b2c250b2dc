"""Connections to one backend: the newest idle one is used again, old ones leave."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable

from modelscan.core.reach import Reach
from modelscan.core.tls import TlsFiles
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.listener import stamp
from modelscan.gateway.data.upstream import SendFailure, Sink, Upstream
from modelscan.gateway.data.writes import Writes
from modelscan.net.reach import is_literal, reachable
from modelscan.routing.table import Backend


class ConnectionPool:
    """The idle connections of a backend and the way to open another one."""

    __slots__ = (
        "_backend", "_closed", "_connect_s", "_connecting", "_idle", "_loop", "_timing", "opened",
        "writes",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        backend: Backend,
        timing: Timing,
        connect_s: float,
        writes: Writes,
    ) -> None:
        self._loop = loop
        self.writes = writes
        self._backend = backend
        self._timing = timing
        self._connect_s = connect_s
        self._idle: list[Upstream] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False
        self.opened = 0

    def send(self, sink: Sink, head: bytes, body: bytes, fresh: bool = False) -> None:
        """Send a request over an idle connection or, with ``fresh`` always, over a new one."""
        upstream = None if fresh else self._newest()
        if upstream is not None:
            upstream.reused = True
            sink.connected(upstream)
            upstream.send(sink, head, body)
            return
        sink.connected(None)
        task = self._loop.create_task(self._connect(sink, head, body))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _newest(self) -> Upstream | None:
        idle = self._idle
        oldest = self._loop.time() - self._timing.idle_upstream_s
        while idle:
            upstream = idle.pop()
            if upstream.closed or upstream.transport.is_closing() or upstream.idle_since < oldest:
                upstream.abort()
                continue
            return upstream
        return None

    async def _connect(self, sink: Sink, head: bytes, body: bytes) -> None:
        try:
            upstream = await asyncio.wait_for(self._open(), self._connect_s)
        except (asyncio.TimeoutError, TimeoutError):
            sink.failed(f"no connection within {self._connect_s:g} s", SendFailure.NOT_SENT)
        except (OSError, ssl.SSLError, UnicodeError) as error:
            sink.failed(f"cannot connect ({error})", SendFailure.NOT_SENT)
        else:
            self.opened += 1
            if sink.connected(upstream):
                upstream.send(sink, head, body)
            else:
                self.put(upstream)

    async def _open(self) -> Upstream:
        backend = self._backend
        factory = functools.partial(Upstream, self)
        if backend.unix_socket is not None:
            _, upstream = await self._loop.create_unix_connection(factory, backend.unix_socket)
        else:
            hosts = (backend.host,) if backend.reach is None else await self._reachable()
            upstream = await self._open_first(factory, hosts)
        return upstream

    async def _open_first(
        self, factory: Callable[[], Upstream], hosts: tuple[str, ...]
    ) -> Upstream:
        """A connection to the first of the hosts that accepts one."""
        backend, last = self._backend, OSError("there is no address")
        secure = backend.scheme == "https"
        for host in hosts:
            try:
                _, upstream = await self._loop.create_connection(
                    factory, host, backend.port,
                    ssl=client_context(backend.tls) if secure else None,
                    server_hostname=backend.host if secure else None,
                )  # fmt: skip
            except OSError as error:
                last = error
            else:
                return upstream
        raise last

    async def _reachable(self) -> tuple[str, ...]:
        """The addresses that the name of a node's server has at this moment, checked: it may have
        had others when the node registered. Raises OSError."""
        host, port, reach = self._backend.host, self._backend.port, self._backend.reach
        addresses = [host]
        if not is_literal(host):
            rows = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = [str(row[4][0]) for row in rows]
        return reachable(host, port, reach or Reach(), addresses)

    def put(self, upstream: Upstream) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            upstream.abort()
            return
        upstream.idle_since = self._loop.time()
        self._idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        """A connection closed while it was idle."""
        if upstream in self._idle:
            self._idle.remove(upstream)

    def sweep(self, now: float) -> None:
        """Close what has been idle for long enough that the engine may close it soon."""
        oldest = now - self._timing.idle_upstream_s
        kept = []
        for upstream in self._idle:
            if upstream.idle_since < oldest:
                upstream.abort()
            else:
                kept.append(upstream)
        self._idle = kept

    def close(self) -> None:
        """Close the idle connections now, and those of requests under way as they end."""
        self._closed = True
        for upstream in self._idle:
            upstream.abort()
        self._idle.clear()

    def __len__(self) -> int:
        return len(self._idle)


def client_context(files: TlsFiles | None) -> ssl.SSLContext:
    """Verified TLS to backends; the system's authorities (SSL_CERT_FILE replaces them), or the
    files' ones. Files that were replaced are read again for the next connection.

    Raises OSError (ssl.SSLError is one) for a file that cannot be used.
    """
    if files is None:
        return _context(None, ())
    paths = (files.ca, files.cert, files.key)
    stamps = tuple(stamp(path) for path in paths if path is not None)
    return _context(files, stamps)


@functools.lru_cache(maxsize=64)
def _context(files: TlsFiles | None, stamps: tuple[tuple[int, int], ...]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if files is None else files.ca)
    if files is not None and files.cert is not None:
        context.load_cert_chain(files.cert, files.key)
    context.set_alpn_protocols(["http/1.1"])
    return context
