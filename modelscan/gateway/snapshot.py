"""What a worker of the gateway receives: routes, keys and access rules, as one message.

The serving process sends a snapshot to each worker over an inherited socket (4 bytes of length,
big endian, then msgpack), at the start and after each change; secrets never touch the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.routing.table import RouteTable

Scope = Literal["read", "infer", "operator", "admin", "curator", "node"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the data path sees it. ``digest`` is the keyed hash (see ``key_digest``).

    ``models`` None: every route. ``slot`` is the key's index in the shared counters. Limits None:
    unlimited. ``expires_at`` is a UNIX time. ``spent_out``: the key's budget is used up.
    """

    name: str
    digest: bytes
    scopes: tuple[Scope, ...]
    slot: int
    models: tuple[str, ...] | None = None
    requests_per_minute: int | None = None
    max_concurrent: int | None = None
    expires_at: float | None = None
    default_route: str | None = None
    spent_out: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask. ``keys`` empty: no authentication, which only a loopback listener may have.

    ``hash_key`` is the secret of the keyed hash. ``hosts``: accepted values of the Host header
    without port (None: every one). ``origins``: accepted Origin headers (CORS), empty: none.
    """

    keys: tuple[Key, ...]
    hash_key: bytes
    hosts: tuple[str, ...] | None
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete state; a worker replaces its old one as a whole."""

    table: RouteTable
    access: Access
