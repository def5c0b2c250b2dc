"""Listening sockets: opened by the serving process, accepted from by every worker."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Sequence

from modelscan.gateway.data.options import Tls

BACKLOG = 1024


def open_sockets(host: str, port: int, workers: int) -> list[list[socket.socket]]:
    """One socket per worker for each address of a host, all on one port (0: any free one).

    Each worker has sockets of its own (SO_REUSEPORT), so that the kernel spreads connections over
    them; a connection in the queue of a worker that dies is lost: workers drain first.
    OSError: the address is in use or not local.
    """
    found: list[list[socket.socket]] = [[] for _ in range(workers)]
    seen = set()
    for family, kind, number, _, address in socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        if (family, address) in seen:
            continue
        seen.add((family, address))
        for sockets in found:
            one = socket.socket(family, kind, number)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if workers > 1:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            port = port or one.getsockname()[1]
            sockets.append(one)
    return found


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS of the listening side. OSError or ssl.SSLError: a file is missing or not readable."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["http/1.1"])
    if tls.client_ca is not None:
        context.load_verify_locations(tls.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def stamp(path: str) -> tuple[int, int]:
    """What changes when a file is replaced: its number and the time of its last change.

    Raises OSError where it is missing.
    """
    facts = os.stat(path)  # noqa: PTH116 - a name, not a path object
    return facts.st_ino, facts.st_mtime_ns


class ServerTls:
    """The TLS context of the listening side. Renewed files count for later connections."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self.context = server_context(tls)
        self._stamps = self._seen()

    def renew(self) -> None:
        """Read the files again if they changed; what cannot be read stays as it was.

        Authorities that are gone from the file stay trusted until the next start.
        """
        with contextlib.suppress(OSError):  # half written: ssl.SSLError, which is one
            stamps = self._seen()
            if stamps != self._stamps:
                server_context(self._tls)  # both fit together
                self.context.load_cert_chain(self._tls.certificate, self._tls.key)
                if self._tls.client_ca is not None:
                    self.context.load_verify_locations(self._tls.client_ca)
                self._stamps = stamps

    def _seen(self) -> tuple[tuple[int, int], ...]:
        paths = (self._tls.certificate, self._tls.key, self._tls.client_ca)
        return tuple(stamp(path) for path in paths if path is not None)


async def accept(
    loop: asyncio.AbstractEventLoop,
    factory: Callable[[], asyncio.Protocol],
    descriptors: Sequence[int],
    tls: ServerTls | None,
) -> list[asyncio.Server]:
    """Accept connections from inherited sockets."""
    context = None if tls is None else tls.context
    servers = []
    for descriptor in descriptors:
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        servers.append(await loop.create_server(factory, sock=sock, ssl=context, backlog=BACKLOG))
    return servers
