"""Where ``modelscan serve`` listens: which addresses are allowed, and their sockets."""

from __future__ import annotations

import errno
import itertools
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.tls import TlsFiles
from modelscan.net.address import is_loopback

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - only with --expose and keys
_BACKLOG = 1024
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1", "[::1]")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of ``modelscan serve``. ``hosts`` None: every Host header (with keys).

    ``drain_s``: seconds that running requests have after SIGTERM. ``log_requests``: report each.
    """

    host: str | None = None
    port: int = 8900
    expose: bool = False
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    hosts: tuple[str, ...] | None = None
    origins: tuple[str, ...] = ()
    drain_s: float = 30.0
    log_requests: bool = False

    @property
    def address(self) -> str:
        """The address to listen on."""
        return self.host or (EVERYWHERE if self.expose else LOOPBACK)

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        return is_loopback(self.address) and self.address not in (EVERYWHERE, "::")

    @property
    def accepted_hosts(self) -> tuple[str, ...] | None:
        """The values of the Host header that are answered; None: all of them.

        A web page of another host whose name was made to point here sends that name.
        """
        if self.hosts:
            return (*self.hosts, *LOOPBACK_HOSTS)
        return (*LOOPBACK_HOSTS, self.address) if self.loopback else None

    @property
    def own_tls(self) -> TlsFiles | None:
        """How the gateway connects to its nodes: with its own certificate, and to certificates of
        the authority that its clients have. None: it has none.
        """
        if self.tls_cert is None or self.client_ca is None:
            return None
        files = (self.client_ca, self.tls_cert, self.tls_key)
        return TlsFiles(*(None if one is None else str(one) for one in files))

    def url(self, port: int) -> str:
        """The server's root, as a client of this machine writes it."""
        everywhere = self.address in (EVERYWHERE, "::")
        host = LOOPBACK if everywhere else self.address
        shown = f"[{host}]" if ":" in host else host
        return f"{'https' if self.tls_cert else 'http'}://{shown}:{port}"


def check_exposure(options: ServeOptions, keys: int) -> None:
    """Raises UsageError for an address that others can reach without ``--expose`` and keys."""
    if options.loopback:
        return
    if not options.expose:
        raise UsageError(
            f"{options.address} can be reached from other machines, and --expose is not given",
            hint="modelscan serve --expose, or without --host for this machine only",
            code="not_exposed",
        )
    if not keys:
        raise UsageError(
            "without a key, everyone who reaches this machine could use its models: "
            "--expose needs at least one key",
            hint="modelscan key create",
            code="no_keys",
        )


def check_tls(options: ServeOptions) -> None:
    """Load the certificate as the workers will; raises UsageError if it cannot be used."""
    cert, key, ca = options.tls_cert, options.tls_key, options.client_ca
    if cert is None:
        if key is not None or ca is not None:
            name = "--tls-key" if key is not None else "--client-ca"
            raise UsageError(f"{name} needs --tls-cert", hint="modelscan serve --tls-cert FILE")
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for file in (cert, key, ca):
        if file is not None and not file.is_file():
            raise UsageError(f"there is no file {file}", hint=f"ls -l '{file.parent}'")
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"{cert} cannot be used as a certificate with its key: {error}",
            hint="give both as PEM files: --tls-cert FILE --tls-key FILE",
        ) from error
    try:
        if ca is not None:
            context.load_verify_locations(ca)
    except (ssl.SSLError, OSError) as error:
        raise UsageError(
            f"{ca} is not a PEM file of certificate authorities: {error}",
            hint="give a PEM file: --client-ca FILE",
        ) from error


def listen(options: ServeOptions) -> list[list[socket.socket]]:
    """For each worker one listening socket per address, all on one port: the kernel spreads the
    connections.

    The serving process keeps them open, so that a restarted worker inherits what is queued. Raises
    ModelscanError where the port is in use, UsageError where the address is not of this machine.
    """
    places = _resolved(options)
    first = [_bound(place, options, shared=False) for place in places[:1]]
    port = first[0].getsockname()[1]
    first += [_bound(place.at(port), options, shared=False) for place in places[1:]]
    if options.workers > 1:  # SO_REUSEPORT alone would share the port of another gateway
        for one in first:
            one.close()
        shared = [place.at(port) for place in places]
        rows = [[_bound(p, options, shared=True) for p in shared] for _ in range(options.workers)]
    else:
        rows = [first]
    for one in itertools.chain.from_iterable(rows):
        one.listen(_BACKLOG)
    return rows


class BindAddress(NamedTuple):
    """An address to bind."""

    family: socket.AddressFamily
    address: tuple[Any, ...]

    def at(self, port: int) -> BindAddress:
        """The same address with this port."""
        return self._replace(address=(self.address[0], port, *self.address[2:]))


def _resolved(options: ServeOptions) -> list[BindAddress]:
    """The addresses of the host: localhost has one of IPv4 and one of IPv6."""
    try:
        rows = socket.getaddrinfo(
            options.address, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"'{options.address}' is not an address of this machine: {error}",
            hint="modelscan serve --host 127.0.0.1",
        ) from error
    return list(dict.fromkeys(BindAddress(family, address) for family, _, _, _, address in rows))


def _bound(place: BindAddress, options: ServeOptions, *, shared: bool) -> socket.socket:
    listener = socket.socket(place.family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if place.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(place.address)
    except OSError as error:
        listener.close()
        raise _not_bound(options, error) from error
    return listener


def _not_bound(options: ServeOptions, error: OSError) -> ModelscanError:
    place = f"{options.address}:{options.port}"
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(options.port)
        return ModelscanError(
            f"{place} is in use" + (f" by {owner}" if owner else " by another program"),
            hint="modelscan serve --port 0 (any free port), or end that program",
            code="port_in_use",
        )
    if error.errno == errno.EACCES:
        return UsageError(
            f"this user may not listen on port {options.port}",
            hint="modelscan serve --port 8900",
            code="port_refused",
        )
    return UsageError(
        f"cannot listen on {place}: {error.strerror or error}",
        hint="modelscan serve --host 127.0.0.1",
    )


def port_owner(port: int) -> str | None:
    """The program that listens on a port, with its process id; None if it cannot be seen."""
    import psutil

    try:
        rows = psutil.net_connections(kind="tcp")
        listening = (r for r in rows if r.status == psutil.CONN_LISTEN)
        pid = next((r.pid for r in listening if r.laddr and r.laddr[1] == port), None)
        if pid is None:
            return None
        process = psutil.Process(pid)
        words = process.cmdline() or [process.name()]
        text = " ".join(words)
        return f"{text if len(text) <= 60 else process.name()} (process {pid})"
    except (psutil.Error, OSError):
        return None
