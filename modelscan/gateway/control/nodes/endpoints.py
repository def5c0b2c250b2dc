"""Where a node's endpoint may be: not at this machine's own services, not at metadata addresses,
and in the networks that the setting node_networks names.

A node's key lets it name addresses that the gateway then connects to. Without rules it could make
the gateway send requests to what only the gateway reaches. The same rules are checked again for
each connection (``modelscan.net.reach``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelscan.core.node import RegisteredService
from modelscan.core.reach import Reach
from modelscan.gateway.control.nodes.rules import NodeRefused
from modelscan.net.reach import is_literal, reach_fault, resolved

Resolve = Callable[[str], Iterable[str]]
_METADATA_NAMES = ("metadata.google.internal", "metadata.goog", "metadata", "instance-data")
_OUTSIDE = "networks of nodes"


@dataclass(frozen=True, slots=True)
class EndpointRules:
    """``resolve`` asks the name service."""

    reach: Reach
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
            hint = f" ({SETTING})" if _OUTSIDE in fault else ""
            raise NodeRefused(422, "endpoint", f"{place}: {fault}{hint}", audited=True)


SETTING = "an administrator allows others: modelscan config set node_networks loopback,private,…"


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
        addresses = [host] if is_literal(host) else list((rules.resolve or resolved)(host))
    except (OSError, UnicodeError) as error:
        return f"{host} cannot be resolved here ({getattr(error, 'strerror', None) or error})"
    faults = (reach_fault(one, port, rules.reach) for one in addresses)
    fault = next((one for one in faults if one is not None), None)
    return None if fault is None else f"{host} {fault}"
