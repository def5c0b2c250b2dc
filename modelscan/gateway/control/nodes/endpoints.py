"""Where a node's endpoint may be: not at this machine's own services, not at metadata addresses.

A node's key lets it name addresses that the gateway then connects to. Without rules it could make
the gateway send requests to what only the gateway reaches.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelscan.core.node import RegisteredService
from modelscan.gateway.control.nodes.rules import NodeRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str], Iterable[str]]
# Cloud providers' metadata services outside of the link-local range, and their names.
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_METADATA_NAMES = ("metadata.google.internal", "metadata.goog", "metadata", "instance-data")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """``local``: the node is on this machine, whose addresses it may use. ``own_port``: that of
    this gateway, to which no endpoint may lead. ``resolve`` asks the name service."""

    local: bool
    own_port: int | None = None
    resolve: Resolve | None = None


def check_endpoints(services: Iterable[RegisteredService], rules: EndpointRules) -> None:
    """Raise NodeRefused (422) for an endpoint that requests must not be sent to.

    May ask the name service: call it in a thread.
    """
    known: dict[tuple[str, int | None], str | None] = {}
    for at, service in enumerate(services):
        fault = _fault(service.endpoint, rules, known)
        if fault is not None:
            place = f"$.services[{at}].endpoint"
            raise NodeRefused(422, "endpoint", f"{place}: {fault}", audited=True)


def _fault(
    endpoint: str, rules: EndpointRules, known: dict[tuple[str, int | None], str | None]
) -> str | None:
    """Why an endpoint is refused; None: it is not. ``known``: places that were checked before."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"it is not an address: {error}"
    if parts.scheme not in ("http", "https") or not host or not endpoint.isprintable():
        return "it is not an http or https address"
    if "@" in parts.netloc:
        return "an endpoint has no user and password"
    if parts.query or parts.fragment or " " in endpoint:
        return "an endpoint is the root of a server: no query, no fragment, no spaces"
    if port == 0:
        return "port 0 is no port"
    if (host, port) not in known:
        known[host, port] = _host_fault(host, port, rules)
    return known[host, port]


def _host_fault(host: str, port: int | None, rules: EndpointRules) -> str | None:
    if host.rstrip(".").lower() in _METADATA_NAMES:
        return f"{host} is a cloud provider's metadata service"
    try:
        addresses = [host] if _is_literal(host) else list((rules.resolve or resolved)(host))
    except (OSError, UnicodeError) as error:
        return f"{host} cannot be resolved here ({getattr(error, 'strerror', None) or error})"
    faults = (_address_fault(ipaddress.ip_address(one), port, rules) for one in addresses)
    fault = next((one for one in faults if one is not None), None)
    return None if fault is None else f"{host} {fault}"


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address_fault(address: Address, port: int | None, rules: EndpointRules) -> str | None:
    """Why an address is refused, as words after it; None: requests may go there."""
    address = _inner(address)
    if address in _METADATA:
        return "is a cloud provider's metadata service"
    if address.is_link_local:
        return "is link-local: metadata services are there"
    if address.is_unspecified or address.is_multicast or _is_reserved(address):
        return "is not the address of one machine"
    if not is_own(str(address)):
        return None
    if port is not None and port == rules.own_port:
        return "is this gateway itself: its requests would go in circles"
    return None if rules.local else "is this gateway's own machine, and the node is on another one"


def is_own(address: str) -> bool:
    """Whether an address is one of this machine: only those can be listened on."""
    try:
        one = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if one.is_loopback:
        return True
    family = socket.AF_INET if one.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(one), 0))
    except OSError:
        return False
    return True


def _is_reserved(address: Address) -> bool:
    return address.version == 4 and (address.is_reserved or int(address) >> 24 == 0)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one carries: mapped, 6to4 or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inner is None and int(address) >> 32 == 0 and int(address) > 1:
        inner = ipaddress.IPv4Address(int(address))
    return inner or address


def resolved(host: str) -> list[str]:
    """The addresses of a name. Raises OSError or UnicodeError."""
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(row[4][0]).partition("%")[0] for row in rows]
