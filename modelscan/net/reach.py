"""Addresses that a name resolves to, checked before a connection: who names a server with a key of
a node must not make the gateway connect to what only the gateway reaches.

The check belongs to the connection: a name that was checked before may resolve to another address
a moment later.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from modelscan.core.reach import Address, Reach, in_networks, plain_address

# Cloud providers' metadata services outside of the link-local range.
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)


def reach_fault(text: str, port: int | None, reach: Reach) -> str | None:
    """Why an address must not be connected to, as words after it; None: it may."""
    address = plain_address(text)
    if address in _METADATA:
        return "is a cloud provider's metadata service"
    if address.is_link_local:
        return "is link-local: metadata services are there"
    if address.is_unspecified or address.is_multicast or _is_reserved(address):
        return "is not the address of one machine"
    if is_own(str(address)):
        if port is not None and port == reach.own_port:
            return "is this gateway itself: its requests would go in circles"
        if not reach.own_machine:
            return "is this gateway's own machine, and the node is on another one"
    if not in_networks(str(address), reach.networks):
        return f"is in none of the networks of nodes ({', '.join(reach.networks) or 'none'})"
    return None


def reachable(host: str, port: int, reach: Reach, addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses to connect to. Raises OSError if one of them must not be connected to."""
    found = tuple(dict.fromkeys(addresses))
    for one in found:
        fault = reach_fault(one, port, reach)
        if fault is not None:
            shown = host if host == one else f"{host} resolves to {one}, which"
            raise OSError(f"{shown} {fault}")
    if not found:
        raise OSError(f"{host} has no address")
    return found


def connect(host: str, port: int, reach: Reach, timeout_s: float | None) -> socket.socket:
    """A connection to a checked address of a name. Raises OSError or UnicodeError."""
    addresses = reachable(host, port, reach, [host] if is_literal(host) else resolved(host))
    last: OSError | None = None
    for one in addresses:
        try:
            return socket.create_connection((one, port), timeout_s)
        except OSError as error:
            last = error
    raise last or OSError(f"{host} has no address")


def is_literal(host: str) -> bool:
    """Whether it is an address and no name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


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


def resolved(host: str) -> list[str]:
    """The addresses of a name. Raises OSError or UnicodeError."""
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(row[4][0]).partition("%")[0] for row in rows]


def _is_reserved(address: Address) -> bool:
    return address.version == 4 and (address.is_reserved or int(address) >> 24 == 0)
