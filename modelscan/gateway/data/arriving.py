"""Snapshots read in pieces: of a table with ten thousand services most is as it was before, and
requests go on while the rest is read."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_type_hints

import msgspec

from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import Backend, RouteEntry, RouteTable

STEP_S = 0.005
"""Seconds of work after which other requests have their turn."""
_LOOK_AT = 32  # pieces of work between two looks at the clock
T = TypeVar("T")


def _loose(kind: type[Any], unread: dict[str, Any]) -> type[msgspec.Struct]:
    """The struct with the fields of a dataclass, some of them unread."""
    hints = get_type_hints(kind)
    fields = [(one.name, unread.get(one.name, hints[one.name])) for one in dataclasses.fields(kind)]
    return msgspec.defstruct(f"Loose{kind.__name__}", fields)


_LARGE = {"backends": tuple[msgspec.Raw, ...], "routes": dict[str, msgspec.Raw]}
_LooseTable = _loose(RouteTable, _LARGE)
_LooseSnapshot = _loose(Snapshot, {"table": _LooseTable})
read_loose = msgspec.msgpack.Decoder(_LooseSnapshot).decode
read_backend = msgspec.msgpack.Decoder(Backend).decode
read_route = msgspec.msgpack.Decoder(RouteEntry).decode


class ArrivedSnapshot:
    """A snapshot whose backends and routes are not read yet."""

    def __init__(self, data: bytes) -> None:
        self._loose: Any = read_loose(data)

    @property
    def connect_timeout_s(self) -> float:
        """The limit of a connection's time."""
        return float(self._loose.table.limits.connect_timeout_s)

    def slot(self, index: int) -> int:
        """A backend's row in the counters."""
        slots: tuple[int, ...] = self._loose.slots
        return slots[index] if slots else index

    @property
    def backends(self) -> tuple[msgspec.Raw, ...]:
        """Each backend as msgpack."""
        found: tuple[msgspec.Raw, ...] = self._loose.table.backends
        return found

    @property
    def routes(self) -> dict[str, msgspec.Raw]:
        """Each route as msgpack, by its name."""
        found: dict[str, msgspec.Raw] = self._loose.table.routes
        return found

    def read(self, backends: tuple[Backend, ...], routes: dict[str, RouteEntry]) -> Snapshot:
        """The snapshot with these parts of it."""
        table = msgspec.structs.asdict(self._loose.table) | {"backends": backends, "routes": routes}
        rest = msgspec.structs.asdict(self._loose) | {"table": RouteTable(**table)}
        return Snapshot(**rest)


def paused(items: Iterable[T]) -> Iterator[T | None]:
    """The items; None where the work on them took so long that others should have a turn."""
    until = time.perf_counter() + STEP_S
    for count, item in enumerate(items):
        yield item
        if count % _LOOK_AT == 0 and time.perf_counter() > until:
            yield None
            until = time.perf_counter() + STEP_S
