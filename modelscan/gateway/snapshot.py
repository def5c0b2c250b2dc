"""What a worker of the gateway receives: routes, keys and access rules, as one message.

The serving process sends a snapshot to each worker over an inherited socket (4 bytes of length,
big endian, then msgpack), at the start and after each change; secrets never touch the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.access import Scope
from modelscan.core.receipt import KeptContent, Receipt
from modelscan.routing.table import RouteTable


@dataclass(frozen=True, slots=True)
class Key:
    """A key as the data path sees it. ``digest`` is the keyed hash (``core.access.key_digest``).

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


WakeState = Literal["asleep", "loading", "ready", "refused"]


@dataclass(frozen=True, slots=True)
class Wake:
    """What becomes of requests to a backend whose deployment is asleep, by the backend's name.

    ``ready``: they may be sent. ``refused``: not before ``again_at`` (UNIX time; None: not by
    waiting), for ``reason``. With another state they wait.
    """

    backend: str
    state: WakeState
    reason: str | None = None
    again_at: float | None = None


@dataclass(frozen=True, slots=True)
class WaitingForWake:
    """Requests of one worker that wait for a backend; ``oldest_at``: since when the first does."""

    backend: str
    count: int
    oldest_at: float


@dataclass(frozen=True, slots=True)
class ContentChoice:
    """Whose texts are kept: everyone's, or those of some routes, roles and keys, by name."""

    everything: bool = False
    routes: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete state; a worker replaces its old one as a whole.

    ``slots`` are the table's backends' rows in the shared counters, in the table's order; a backend
    keeps its slot across changes. Empty: the index in the table. ``content`` None: no text is kept.
    ``wakes``: of the backends that are asleep, and of those that requests wait for.
    """

    table: RouteTable
    access: Access
    slots: tuple[int, ...] = ()
    content: ContentChoice | None = None
    wakes: tuple[Wake, ...] = ()


@dataclass(frozen=True, slots=True)
class FromWorker:
    """A message of a worker to the serving process, framed like a snapshot.

    ``ready``: the first snapshot is applied and connections are accepted. ``revision``: that of
    the table which was applied last. ``dropped``: receipts that were lost since the last message.
    ``contents``: texts that are kept by choice.
    ``waiting``: all requests of this worker that wait for a wake; None: as in the message before.
    """

    ready: bool = False
    revision: int | None = None
    receipts: tuple[Receipt, ...] = ()
    dropped: int = 0
    contents: tuple[KeptContent, ...] = ()
    waiting: tuple[WaitingForWake, ...] | None = None
