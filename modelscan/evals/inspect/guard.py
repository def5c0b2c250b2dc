"""Refuses every connection of this process except those to the endpoint under test."""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from typing import Any


class ConnectionRefusedByGuard(PermissionError):
    """Something tried to leave for another host."""


def allow_only(hosts: Sequence[tuple[str, int]]) -> None:
    """From now on: only these hosts and ports, and unix sockets. It cannot be undone."""
    names = {host for host, _ in hosts}
    addresses = {(address, port) for host, port in hosts for address in _addresses(host, port)}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.getaddrinfo" and arguments[0] not in (*names, None):
            known = {address for address, _ in addresses}
            if arguments[0] not in known:
                raise ConnectionRefusedByGuard(f"lookup of {arguments[0]} is not allowed")
        if event in ("socket.connect", "socket.sendto"):
            place = arguments[1]
            if isinstance(place, tuple) and place[:2] not in addresses:
                raise ConnectionRefusedByGuard(f"a connection to {place} is not allowed")

    sys.addaudithook(hook)


def _addresses(host: str, port: int) -> set[str]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return {host}  # the request itself reports it
    return {str(row[4][0]) for row in rows}
