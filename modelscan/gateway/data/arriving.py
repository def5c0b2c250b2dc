"""Snapshots read in pieces: of a table with ten thousand services most is as it was before, and
requests go on while the rest is read."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import msgspec

from modelscan.gateway.snapshot import Access, ContentChoice, Snapshot, Wake
from modelscan.routing.table import AutomaticRule, Backend, GatewayLimits, RouteEntry, RouteTable

STEP_S = 0.005
"""Seconds of work after which other requests have their turn."""
_LOOK_AT = 32  # pieces of work between two looks at the clock
T = TypeVar("T")


class _LooseTable(msgspec.Struct):
    """``RouteTable`` with its large parts unread."""

    revision: int
    backends: tuple[msgspec.Raw, ...]
    routes: dict[str, msgspec.Raw]
    default: str | None
    limits: GatewayLimits
    fallback: bool = False
    rules: tuple[AutomaticRule, ...] = ()


class LooseSnapshot(msgspec.Struct):
    """``Snapshot`` with the table's large parts unread."""

    table: _LooseTable
    access: Access
    slots: tuple[int, ...] = ()
    content: ContentChoice | None = None
    wakes: tuple[Wake, ...] = ()

    def read(self, backends: Iterable[Backend], routes: dict[str, RouteEntry]) -> Snapshot:
        """The snapshot, with the parts read."""
        loose = self.table
        table = RouteTable(
            loose.revision, tuple(backends), routes, loose.default, loose.limits, loose.fallback,
            loose.rules,
        )  # fmt: skip
        return Snapshot(table, self.access, self.slots, self.content, self.wakes)


read_snapshot = msgspec.msgpack.Decoder(LooseSnapshot).decode
read_backend = msgspec.msgpack.Decoder(Backend).decode
read_route = msgspec.msgpack.Decoder(RouteEntry).decode


def paused(items: Iterable[T]) -> Iterator[T | None]:
    """The items; None where the work on them took so long that others should have a turn."""
    until = time.perf_counter() + STEP_S
    for count, item in enumerate(items):
        yield item
        if count % _LOOK_AT == 0 and time.perf_counter() > until:
            yield None
            until = time.perf_counter() + STEP_S
