"""Writes what happens to deployments, nodes and routes into the table of events.

Gateways that share a database notice the same things: what another one has written already is
not written again. While the database is away, the newest changes wait.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import sqlalchemy as sa

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.core.node import NodeState
from modelscan.core.route import Route
from modelscan.gateway.control.events import Report, ServeEvent
from modelscan.gateway.control.threads import in_database
from modelscan.registry.canonical import canonical, etag_of
from modelscan.registry.events import add_event, last_event_of
from modelscan.state.server.audit import Actor
from modelscan.state.server.database import ServerDatabase

_MOST_WAITING = 1_000
_AWAY_S = 1.0
_NODE = tuple(f"node.{state}" for state in ("registered", "left", *get_args(NodeState)))


@dataclass(frozen=True, slots=True)
class Happening:
    """A change of a deployment, node or route. ``etag``: of what it is now."""

    event: str
    slug: str
    etag: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class EventLog:
    """Changes on their way into the table."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database
        self._waiting: deque[Happening] = deque(maxlen=_MOST_WAITING)
        self._due = asyncio.Event()
        self._who = Actor("gateway", socket.gethostname())

    def note(self, *happenings: Happening) -> None:
        """Write these soon."""
        self._waiting.extend(happenings)
        if happenings:
            self._due.set()

    def noting(self, report: Report) -> Report:
        """A receiver of reports that also writes those of nodes and backends into the table."""

        def both(event: ServeEvent) -> None:
            happening = happening_of(event)
            if happening is not None:
                self.note(happening)
            report(event)

        return both

    async def run(self) -> None:
        """Write what is noted; again after a second while the database is away."""
        while True:
            await self._due.wait()
            self._due.clear()
            batch = list(self._waiting)
            self._waiting.clear()
            try:
                await in_database(self.write, batch)
            except ModelscanError:
                self._waiting = deque([*batch, *self._waiting], _MOST_WAITING)
                self._due.set()
                await asyncio.sleep(_AWAY_S)

    def write(self, batch: list[Happening]) -> None:
        """Add them in one transaction, without those that the table has as the last word."""
        with self._database.writing() as connection:
            for one in batch:
                if not _is_known(connection, one):
                    add_event(
                        connection, self._who, one.event, slug=one.slug, etag=one.etag,
                        data=one.data,
                    )  # fmt: skip


def _is_known(connection: sa.Connection, one: Happening) -> bool:
    kind = one.event.partition(".")[0]
    changes = tuple(f"{kind}.{verb}" for verb in ("created", "updated", "deleted"))
    names = changes if one.event in changes else _NODE if kind == "node" else (one.event,)
    last = last_event_of(connection, names, one.slug)
    return last is not None and (last.event, last.etag) == (one.event, one.etag)


def happening_of(event: ServeEvent) -> Happening | None:
    """What a report of the serving process says of a node or a backend; None: nothing of them."""
    values = event.values
    if event.name == "node" and values.get("what") != "refused":
        return Happening(f"node.{values['what']}", str(values["node"]))
    if event.name == "backend":
        state = str(values["state"])
        data = {"state": state, "reason": values.get("reason")}
        return Happening("route.health", str(values["backend"]), etag_of(state), data)
    return None


def route_changes(before: tuple[Route, ...], after: tuple[Route, ...]) -> Iterator[Happening]:
    """What changed between two versions of the routing file."""
    old, new = ({one.name: _route_etag(one) for one in routes} for routes in (before, after))
    yield from _differences("route", old, new)


def deployment_changes(
    before: Mapping[str, Deployment], after: Mapping[str, Deployment]
) -> Iterator[Happening]:
    """What changed between two readings of the deployments' records."""
    old, new = (
        {name: etag_of(canonical([one.state.value, one.model])) for name, one in rows.items()}
        for rows in (before, after)
    )
    for one in _differences("deployment", old, new):
        row = after.get(one.slug)
        data = {"state": row.state.value, "model": row.model} if row else {}
        yield Happening(one.event, one.slug, one.etag, data)


def _differences(
    kind: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Happening]:
    for name, etag in after.items():
        if name not in before:
            yield Happening(f"{kind}.created", name, etag)
        elif before[name] != etag:
            yield Happening(f"{kind}.updated", name, etag)
    for name in before.keys() - after.keys():
        yield Happening(f"{kind}.deleted", name)


def _route_etag(route: Route) -> str:
    return etag_of(canonical(to_json(route)))
