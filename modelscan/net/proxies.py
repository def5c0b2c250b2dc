"""Which proxy the environment names for an address. Pure.

``HTTP_PROXY``, ``HTTPS_PROXY`` and ``ALL_PROXY``, in upper or lower case, with the exceptions of
``NO_PROXY`` as curl, Go and Python's requests write them together: ``*``, domains with or without a
leading dot, addresses of both families with or without brackets and port, and networks
(``10.0.0.0/8``, ``fd07::/64``). An address of this machine never has a proxy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from modelscan.core.errors import UsageError
from modelscan.net.address import is_loopback, public

_SCHEMES = ("http", "https", "socks5", "socks5h")
_WITH_PORT = re.compile(r"^(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:]*))(?::(?P<port>\d+))?$")


class Proxy(NamedTuple):
    """A proxy and the variable that names it."""

    url: str
    variable: str


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy for an http(s) address; None for a direct connection.

    Raises UsageError, with the variable's name and without its password, for a value that is no
    proxy.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if is_loopback(host) or excepted(host, port, environment):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        variable, value = _variable(name, environment)
        if value:
            return Proxy(_checked(variable, value, host), variable)
    return None


def excepted(host: str, port: int, environment: Mapping[str, str]) -> bool:
    """Whether ``NO_PROXY`` names the host. An entry of another form has no effect."""
    _, value = _variable("no_proxy", environment)
    return any(_matches(entry, host.lower(), port) for entry in _entries(value))


def _variable(name: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """The variable in use and its value; lower case first, as in curl. In a CGI program
    ``HTTP_PROXY`` is a header of the request, not a setting.
    """
    names = [name, name.upper()]
    if name == "http_proxy" and "REQUEST_METHOD" in environment:
        names = [name]
    found = next((one for one in names if environment.get(one, "").strip()), name)
    return found, environment.get(found, "").strip()


def _entries(value: str) -> Iterator[str]:
    for entry in re.split(r"[,\s]+", value):
        if entry:
            yield entry.lower().rpartition("://")[2].rstrip(".")


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    match = _WITH_PORT.match(entry)
    if match is None:  # an address without brackets, or a network
        bare = _network(entry.replace("[", "").replace("]", ""))
        return bare is not None and _inside(host, bare)
    if match["port"] and int(match["port"]) != port:
        return False
    name = match["v6"] if match["v6"] is not None else match["host"]
    if (network := _network(name)) is not None:
        return _inside(host, network)
    domain = name.removeprefix("*").removeprefix(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _inside(host: str, network: _Network) -> bool:
    address = _address(host)
    return address is not None and address.version == network.version and address in network


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _checked(variable: str, value: str, host: str) -> str:
    """The address of the proxy; a missing scheme means http."""
    url = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(url)
        fault = "" if parts.port is None or parts.port else "its port is 0"
    except ValueError as error:
        raise _unusable(variable, value, str(error), host) from error
    if parts.scheme not in _SCHEMES:
        fault = f"a proxy is one of {', '.join(_SCHEMES)}"
    elif not parts.hostname:
        fault = "it names no host"
    if fault:
        raise _unusable(variable, value, fault, host)
    return url


def unusable(proxy: Proxy, reason: str, host: str) -> UsageError:
    """The error for a proxy that the HTTP library cannot use."""
    return _unusable(proxy.variable, proxy.url, reason, host)


def _unusable(variable: str, value: str, reason: str, host: str) -> UsageError:
    shown = public(value if "://" in value else f"http://{value}")
    return UsageError(
        f"the proxy settings of the environment cannot be used: {variable}={shown}: {reason}",
        hint=f"export {variable}=http://HOST:PORT, or NO_PROXY={host}",
        code="bad_proxy",
        details={"variable": variable},
    )
