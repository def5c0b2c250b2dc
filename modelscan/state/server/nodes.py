"""Hosts and services of nodes in the server's database: written through, read by other gateways.

Two counters of changes say what to read again: "nodes" (registrations, departures, drains) and
"beats" (heartbeats, written together every moment). A row has the numbers that wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import sqlalchemy as sa

from modelscan.state.server.audit import Actor, record_audit
from modelscan.state.server.database import ServerDatabase, change_number, record_change
from modelscan.state.server.tables import HOSTS, SERVICES

NODES, BEATS = "nodes", "beats"
_AT_ONCE = 200  # values of one IN (…)


@dataclass(frozen=True, slots=True)
class HostRow:
    """A host as it is stored. Times are UNIX times of the gateway that wrote them.

    ``body`` is the registration without its services, ``beat`` the last heartbeat, both as JSON.
    ``local``: it registered from this machine. ``retired``: instances that it had before.
    """

    host_id: str
    key: str | None
    instance: str | None
    retired: tuple[str, ...]
    sequence: int | None
    node_clock: float | None
    registered_at: float
    last_seen: float
    interval_s: float
    drained: bool
    left_at: float | None
    local: bool
    body: bytes
    beat: bytes | None = None
    access_key: bytes | None = None
    changed: int = 0
    beaten: int = 0


@dataclass(frozen=True, slots=True)
class ServiceRow:
    """A service as it was registered (JSON)."""

    service_id: str
    host_id: str
    place: int
    updated_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class NodeNumbers:
    """The counters of changes."""

    nodes: int = 0
    beats: int = 0


@dataclass(frozen=True, slots=True)
class NodesRead:
    """What changed since the numbers of the last reading. ``names``: every host that exists.

    ``services``: those of the hosts whose ``changed`` is newer, complete per host.
    """

    numbers: NodeNumbers
    names: frozenset[str]
    hosts: tuple[HostRow, ...]
    services: Mapping[str, tuple[ServiceRow, ...]]


@dataclass(frozen=True, slots=True)
class BeatRow:
    """What a heartbeat changes in the row of its host."""

    host_id: str
    sequence: int | None
    node_clock: float | None
    last_seen: float
    interval_s: float
    beat: bytes


@dataclass(frozen=True, slots=True)
class BeatsWritten:
    """The number of the change; ``gone``: hosts that the database has no more."""

    number: int
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a registration is decided by: the host's row, the rows of the hosts that own one of its
    services, and how many other hosts its key has."""

    host: HostRow | None
    owners: Mapping[str, HostRow]
    hosts_of_key: int


Decide = Callable[[Claims], HostRow]


class NodeStore:
    """The rows, over the server's database. Every method may raise ModelscanError."""

    def __init__(self, database: ServerDatabase) -> None:
        self._database = database

    def numbers(self) -> NodeNumbers:
        """The counters now: two small reads."""
        with self._database.reading() as connection:
            return _numbers(connection)

    def read(self, known: NodeNumbers) -> NodesRead:
        """The rows that changed since ``known``."""
        with self._database.reading() as connection:
            numbers = _numbers(connection)
            newer = (HOSTS.c.changed > known.nodes) | (HOSTS.c.beaten > known.beats)
            if numbers.nodes < known.nodes or numbers.beats < known.beats:  # a restored backup
                newer, known = sa.true(), NodeNumbers(-1, -1)  # type: ignore[assignment]
            rows = connection.execute(sa.select(HOSTS).where(newer)).mappings()
            hosts = tuple(_host(row) for row in rows)
            changed = [row.host_id for row in hosts if row.changed > known.nodes]
            names = connection.execute(sa.select(HOSTS.c.host_id)).scalars()
            return NodesRead(numbers, frozenset(names), hosts, _services(connection, changed))

    def find(self, host_id: str) -> tuple[HostRow, tuple[ServiceRow, ...]] | None:
        """One host with its services."""
        with self._database.reading() as connection:
            row = _find(connection, host_id)
            return None if row is None else (row, _services(connection, [host_id])[host_id])

    def register(
        self, host_id: str, key: str | None, services: Sequence[ServiceRow], decide: Decide,
        who: Actor,
    ) -> HostRow:  # fmt: skip
        """Write the row that ``decide`` returns, with these services instead of its earlier ones.

        One transaction; what ``decide`` raises leaves everything as it was. The row's ``changed``
        is the number of this change.
        """
        with self._database.writing() as connection:
            number = _count(connection, NODES)  # first: registrations wait for each other here
            claims = _claims(connection, host_id, key, services)
            row = decide(claims)
            if _is_new(claims.host, row):
                record_audit(connection, who, "node.register", host_id, after=row.instance)
            _put(connection, row, number)
            ids = [one.service_id for one in services]
            owned = SERVICES.c.host_id == host_id
            for part in _parts(ids):
                connection.execute(sa.delete(SERVICES).where(SERVICES.c.service_id.in_(part)))
            connection.execute(sa.delete(SERVICES).where(owned))
            if services:
                connection.execute(sa.insert(SERVICES), [asdict(one) for one in services])
        return replace(row, changed=number)

    def write_beats(self, beats: Sequence[BeatRow]) -> BeatsWritten:
        """Write heartbeats together."""
        columns = [one.name for one in fields(BeatRow) if one.name != "host_id"]
        values: dict[str, Any] = {name: sa.bindparam(name) for name in columns}
        update = sa.update(HOSTS).where(HOSTS.c.host_id == sa.bindparam("host"))
        with self._database.writing() as connection:
            number = _count(connection, BEATS)
            rows = [
                {"host": one.host_id, **{name: getattr(one, name) for name in columns}}
                for one in beats
            ]
            done = connection.execute(update.values(beaten=number, **values), rows)
            if done.rowcount == len(rows):
                return BeatsWritten(number)
            names = set(connection.execute(sa.select(HOSTS.c.host_id)).scalars())
        return BeatsWritten(number, tuple(o.host_id for o in beats if o.host_id not in names))

    def drain(self, host_id: str, drained: bool, who: Actor) -> bool:
        """Drain a host, or end that; False: there is none."""
        what = "node.drain" if drained else "node.undrain"
        return self._change(host_id, who, what, drained=drained)

    def leave(self, host_id: str, left_at: float, who: Actor) -> bool:
        """Note that a host left; False: there is none."""
        return self._change(host_id, who, "node.leave", left_at=left_at)

    def _change(self, host_id: str, who: Actor, what: str, **values: Any) -> bool:
        with self._database.writing() as connection:
            number = _count(connection, NODES)
            update = sa.update(HOSTS).where(HOSTS.c.host_id == host_id)
            done = connection.execute(update.values(changed=number, **values)).rowcount
            if done:
                record_audit(connection, who, what, host_id)
            return bool(done)

    def refused(self, host_id: str, code: str, who: Actor) -> None:
        """Record a refused message that may be an attempt to take what belongs to another node."""
        with self._database.writing() as connection:
            record_audit(connection, who, "node.refused", host_id, after=code)

    def remove(self, names: Sequence[str], who: Actor | None = None) -> int:
        """Delete hosts with their services; returns how many there were. ``who`` None: for age."""
        removed = 0
        with self._database.writing() as connection:
            _count(connection, NODES)
            if who is not None:
                for name in names:
                    record_audit(connection, who, "node.remove", name)
            for part in _parts(list(names)):
                connection.execute(sa.delete(SERVICES).where(SERVICES.c.host_id.in_(part)))
                done = connection.execute(sa.delete(HOSTS).where(HOSTS.c.host_id.in_(part)))
                removed += done.rowcount
        return removed


def _is_new(before: HostRow | None, row: HostRow) -> bool:
    """Whether a registration is worth a record: not the same run that reports other services."""
    if before is None or before.left_at is not None:
        return True
    return (before.key, before.instance) != (row.key, row.instance)


def _numbers(connection: sa.Connection) -> NodeNumbers:
    return NodeNumbers(change_number(connection, NODES), change_number(connection, BEATS))


def _count(connection: sa.Connection, what: str) -> int:
    record_change(connection, what)
    return change_number(connection, what)


def _find(connection: sa.Connection, host_id: str) -> HostRow | None:
    query = sa.select(HOSTS).where(HOSTS.c.host_id == host_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else _host(row)


def _claims(
    connection: sa.Connection, host_id: str, key: str | None, services: Sequence[ServiceRow]
) -> Claims:
    owners: dict[str, HostRow] = {}
    for part in _parts([one.service_id for one in services]):
        query = (
            sa.select(SERVICES.c.service_id, HOSTS)
            .join(HOSTS, HOSTS.c.host_id == SERVICES.c.host_id)
            .where(SERVICES.c.service_id.in_(part), SERVICES.c.host_id != host_id)
        )
        for row in connection.execute(query).mappings():
            owners[row["service_id"]] = _host(row)
    others = sa.select(sa.func.count()).select_from(HOSTS)
    others = others.where(HOSTS.c.key == key, HOSTS.c.host_id != host_id)
    count = 0 if key is None else int(connection.execute(others).scalar() or 0)
    return Claims(_find(connection, host_id), owners, count)


def _put(connection: sa.Connection, row: HostRow, number: int) -> None:
    values = {**asdict(row), "retired": list(row.retired), "changed": number}
    update = sa.update(HOSTS).where(HOSTS.c.host_id == row.host_id)
    if not connection.execute(update.values(values)).rowcount:
        connection.execute(sa.insert(HOSTS).values(values))


def _services(connection: sa.Connection, names: list[str]) -> dict[str, tuple[ServiceRow, ...]]:
    found: dict[str, list[ServiceRow]] = {name: [] for name in names}
    for part in _parts(names):
        query = sa.select(SERVICES).where(SERVICES.c.host_id.in_(part))
        for row in connection.execute(query.order_by(SERVICES.c.place)).mappings():
            found[row["host_id"]].append(ServiceRow(**row))
    return {name: tuple(rows) for name, rows in found.items()}


def _host(row: Mapping[Any, Any]) -> HostRow:
    values = {one.name: row[one.name] for one in fields(HostRow)}
    return HostRow(**{**values, "retired": tuple(values["retired"])})


def _parts(values: list[str]) -> list[list[str]]:
    return [values[at : at + _AT_ONCE] for at in range(0, len(values), _AT_ONCE)]
