"""Web addresses: validation, the parts that may be displayed, which ones are on this machine.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from modelscan.core.errors import UsageError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_RESERVED = "%/:@!$&'()*+,;=~?[]"  # not quoted again: the caller has quoted what needs it
_OWN_NETWORK = (".local", ".lan", ".internal", ".home.arpa")
_UNSPECIFIED = "0.0.0.0"  # noqa: S104 — only compared with, never bound to


def public(url: str) -> str:
    """The address without user and password (a mirror's endpoint may contain them)."""
    return re.sub(r"^(\w+://)[^/@?#]*@", r"\1", url)


def host_of(url: str) -> str:
    """Host and port, without user, password, path or query."""
    return re.sub(r"^\w+://(?:[^/@]*@)?([^/?#]*).*$", r"\1", url, flags=re.DOTALL)


def is_loopback(host: str) -> bool:
    """True if a host name or address is this machine: 127.0.0.0/8, ::1, localhost, 0.0.0.0, ::.

    ``127.example.com`` is an ordinary host name.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if ":" not in name:
        return name == _UNSPECIFIED or re.fullmatch(r"127(\.\d{1,3}){1,3}", name) is not None
    return _is_loopback_v6(name)


def in_own_network(host: str) -> bool:
    """True for a loopback or private address (RFC 1918, RFC 4193, link-local), a name without dots
    and one that ends in ``.local``, ``.lan``, ``.internal`` or ``.home.arpa``."""
    import ipaddress

    name = host.strip("[]").rstrip(".").lower()
    if is_loopback(name):
        return True
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_private
    except ValueError:
        return bool(name) and ("." not in name or name.endswith(_OWN_NETWORK))


def _is_loopback_v6(name: str) -> bool:
    import ipaddress

    try:
        address = ipaddress.IPv6Address(name.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified or (mapped or address).is_loopback


def stays_here(url: str) -> bool:
    """True if a valid address is one of this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def checked(url: str, params: Mapping[str, str | int] | None = None) -> str:
    """The full address, quoted. Raises UsageError if it is not an http(s) address."""
    parts = _split(url)
    query = "&".join(part for part in (parts.query, urlencode(params or {})) if part)
    path = quote(parts.path, safe=_RESERVED)
    return urlunsplit((parts.scheme, parts.netloc, path, quote(query, safe=_RESERVED), ""))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"'{public(url)}' is not an address: {error}") from error
    valid = parts.scheme in _DEFAULT_PORTS and parts.hostname and " " not in parts.netloc
    if not valid or not url.isprintable():
        raise UsageError(f"'{public(url)}' is not an http(s) address", hint="modelscan config show")
    return parts


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address: credentials are sent only to the same three."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)


def keeps_credentials(url: str, following: str) -> bool:
    """True if a redirect stays on the same server, or only changes from port 80 to TLS on port
    443.
    """
    before, after = origin(url), origin(following)
    upgraded = before[1] == after[1] and (before[0], before[2]) == ("http", 80)
    return before == after or (upgraded and (after[0], after[2]) == ("https", 443))
