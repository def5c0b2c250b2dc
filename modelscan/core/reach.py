"""Which addresses a server's name may resolve to, where others than its user chose the name."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WORDS = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"),
    "any": ("0.0.0.0/0", "::/0"),
}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Reach:
    """``networks``: the words loopback, private and any, networks (10.0.0.0/8) and addresses.

    ``own_machine``: whether addresses of this machine are among them; ``own_port``: that of this
    gateway, to which no request may lead; None: not known.
    """

    networks: tuple[str, ...] = ("loopback", "private")
    own_machine: bool = False
    own_port: int | None = None


def read_networks(text: str) -> tuple[str, ...]:
    """The parts of a list with commas. Raises ValueError for one that is no network."""
    names = tuple(dict.fromkeys(one.strip().lower() for one in text.split(",") if one.strip()))
    _networks(names)
    return names


def _networks(names: tuple[str, ...]) -> tuple[Network, ...]:
    texts = (text for name in names for text in _WORDS.get(name, (name,)))
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def in_networks(address: str, names: tuple[str, ...]) -> bool:
    """Whether an address is in one of the networks; False for a text that is no address."""
    try:
        one = plain_address(address)
    except ValueError:
        return False
    return any(one.version == net.version and one in net for net in _networks(names))


def plain_address(text: str) -> Address:
    """The address of a text, without a zone; of an IPv6 one that carries an IPv4 one, that.

    Raises ValueError for a text that is no address.
    """
    return _inner(ipaddress.ip_address(text.partition("%")[0]))


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
