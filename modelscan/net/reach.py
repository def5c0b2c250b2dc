"""Addresses that a name stands for, checked before a connection: who names a server with a key of
a node must not make the gateway connect to what only the gateway reaches.

The check belongs to the connection: a name that was checked before may stand for another address
a moment later.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Iterable

from modelscan.core.reach import Reach

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WORDS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "any": ("0.0.0.0/0", "::/0"),
}
# Cloud providers' metadata services outside of the link-local range.
_METADATA = frozenset(
    ipaddress.ip_address(one)
    for one in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def read_networks(text: str) -> tuple[str, ...]:
    """The parts of a list with commas. Raises ValueError for one that is no network."""
    names = tuple(dict.fromkeys(one.strip().lower() for one in text.split(",") if one.strip()))
    _networks(names)
    return names


@functools.lru_cache(maxsize=16)
def _networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    texts = (text for name in names for text in _WORDS.get(name, (name,)))
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def in_networks(address: str, names: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; False for a text that is no address."""
    try:
        one = _inner(ipaddress.ip_address(address.partition("%")[0]))
    except ValueError:
        return False
    return any(one.version == net.version and one in net for net in _networks(names))


def reach_fault(text: str, port: int | None, reach: Reach) -> str | None:
    """Why an address must not be connected to, as words after it; None: it may."""
    address = _inner(ipaddress.ip_address(text.partition("%")[0]))
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
            shown = host if host == one else f"{host} stands for {one}, which"
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
