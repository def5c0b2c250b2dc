"""The gateways of one database, and the shares that they have of each key's limits."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from modelscan.state.server.database import (
    ServerDatabase,
    change_number,
    moment,
    record_change,
)
from modelscan.state.server.sharing import (
    LEASE_S,
    WINDOW_S,
    LimitPart,
    next_share,
    still_counts,
)
from modelscan.state.server.tables import GATEWAYS, SHARES

CHANGED = "shares"
_AT_ONCE = 500  # keys of one query


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What a key does at one gateway. ``requests``: in the last minute; ``concurrent``: now."""

    requests: int = 0
    concurrent: int = 0
    demand: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing of it counts."""
        return not (self.requests or self.concurrent or self.demand)


@dataclass(frozen=True, slots=True)
class KeyShare:
    """What one gateway may use of a key's limits; None: the key has no such limit."""

    requests: int | None
    concurrent: int | None


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A key with limits."""

    name: str
    limits: KeyShare


@dataclass(frozen=True, slots=True)
class Others:
    """The other gateways.

    ``alive``: whether each one that runs shares limits (else it still has all of them); ``gone``:
    seconds since the lease of one ended; ``number``: of changes of shares.
    """

    alive: Mapping[str, bool] = field(default_factory=dict)
    gone: Mapping[str, float] = field(default_factory=dict)
    number: int = 0

    @property
    def any(self) -> bool:
        """Whether limits have to be shared."""
        return bool(self.alive or self.gone)


class ShareCells(Protocol):
    """Where the shares of this gateway are in effect."""

    def use(self, key: str) -> KeyUse:
        """What a key uses here now."""

    def lower(self, key: str, share: KeyShare) -> None:
        """Let a smaller share be in effect at once; a larger one changes nothing."""


class GatewayLease:
    """This gateway's row, and its shares. Every method raises ModelscanError without a database."""

    def __init__(self, database: ServerDatabase, address: str, version: str) -> None:
        self._database = database
        self.id = secrets.token_hex(8)
        self._row = {
            "id": self.id, "host": socket.gethostname(), "pid": os.getpid(), "address": address,
            "machine": booted_machine(), "version": version,
        }  # fmt: skip

    def join(self) -> None:
        """Be known to the other gateways; those that are gone for long are forgotten."""
        with self._database.writing() as connection:
            now = moment(connection)
            old = sa.select(GATEWAYS.c.id).where(GATEWAYS.c.seen_at < now - LEASE_S - WINDOW_S)
            for table, column in ((SHARES, SHARES.c.gateway), (GATEWAYS, GATEWAYS.c.id)):
                connection.execute(sa.delete(table).where(column.in_(old.scalar_subquery())))
            self._note_ended(connection, now)
            self._beat(connection, sharing=False)

    def _note_ended(self, connection: sa.Connection, now: float) -> None:
        """Gateways of this machine whose process is gone need no lease to end first."""
        here = GATEWAYS.c.machine == self._row["machine"]
        query = sa.select(GATEWAYS.c.id, GATEWAYS.c.pid).where(here)
        ended = [name for name, pid in connection.execute(query) if not runs_here(pid)]
        rows = GATEWAYS.c.id.in_(ended) & (GATEWAYS.c.seen_at > now - LEASE_S)
        connection.execute(sa.update(GATEWAYS).where(rows).values(seen_at=now - LEASE_S))

    def settle_alone(self) -> bool:
        """Whether no other gateway has or used anything; then this one has every limit whole."""
        with self._database.writing() as connection:
            if self._others(connection, moment(connection)).any:
                return False
            self._beat(connection, sharing=False)
            connection.execute(sa.delete(SHARES).where(SHARES.c.gateway == self.id))
        return True

    def leave(self, uses: Mapping[str, KeyUse]) -> None:
        """Give everything back at once; what was used in the last minute still counts."""
        with self._database.writing() as connection:
            own = GATEWAYS.c.id == self.id
            left = sa.update(GATEWAYS).where(own)
            connection.execute(left.values(seen_at=moment(connection) - LEASE_S))
            connection.execute(sa.delete(SHARES).where(SHARES.c.gateway == self.id))
            rows = [
                self._share_row(name, KeyShare(0, 0), KeyUse(use.requests))
                for name, use in uses.items()
                if use.requests
            ]
            if rows:
                connection.execute(sa.insert(SHARES), rows)
            record_change(connection, CHANGED)

    def beat(self) -> None:
        """Say that this gateway runs."""
        with self._database.writing() as connection:
            self._beat(connection)

    def _beat(self, connection: sa.Connection, **values: bool) -> float:
        now = moment(connection)
        own = sa.update(GATEWAYS).where(GATEWAYS.c.id == self.id)
        if not connection.execute(own.values(seen_at=now, **values)).rowcount:
            row = {**self._row, "sharing": False, "started_at": now, "seen_at": now, **values}
            connection.execute(sa.insert(GATEWAYS).values(row))  # new, or deleted as gone
        return now

    def others(self) -> Others:
        """The other gateways, and the number of changes of shares."""
        with self._database.reading() as connection:
            return self._others(connection, moment(connection))

    def _others(self, connection: sa.Connection, now: float) -> Others:
        columns = GATEWAYS.c.id, GATEWAYS.c.sharing, GATEWAYS.c.seen_at
        rows = connection.execute(sa.select(*columns).where(GATEWAYS.c.id != self.id)).all()
        seen = {name: now - at for name, _, at in rows}
        alive = {name: bool(sharing) for name, sharing, _ in rows if seen[name] < LEASE_S}
        gone = {n: age - LEASE_S for n, age in seen.items() if LEASE_S <= age < LEASE_S + WINDOW_S}
        return Others(alive, gone, change_number(connection, CHANGED))

    def exchange(
        self, keys: Sequence[SharedKey], cells: ShareCells
    ) -> tuple[Others, dict[str, KeyShare]]:
        """Take and give up shares, in one transaction; they may be used after this returned."""
        with self._database.writing() as connection:
            others = self._others(connection, self._beat(connection, sharing=True))
            rows = self._rows(connection, [key.name for key in keys])
            mine: dict[str, KeyShare] = {}
            changed = False
            for key in keys:
                of_key = rows.get(key.name, {})
                share, use = self._settled(key, of_key, others, cells)
                mine[key.name] = share
                changed |= self._store(connection, of_key, self._share_row(key.name, share, use))
            if changed:
                record_change(connection, CHANGED)
            number = change_number(connection, CHANGED)
        return Others(others.alive, others.gone, number), mine

    def _settled(
        self, key: SharedKey, rows: Mapping[str, Any], others: Others, cells: ShareCells
    ) -> tuple[KeyShare, KeyUse]:
        """The next share. What is given up is out of use before others can see it."""
        share = _shares(key.limits, cells.use(key.name), rows, others)
        cells.lower(key.name, share)
        use = cells.use(key.name)
        share = KeyShare(
            _least(share.requests, use.requests), _least(share.concurrent, use.concurrent)
        )
        return share, use

    def _store(
        self, connection: sa.Connection, rows: Mapping[str, Any], row: dict[str, Any]
    ) -> bool:
        """Write this gateway's row where it differs."""
        before = rows.get(self.id)
        if before is None:
            connection.execute(sa.insert(SHARES).values(row))
            return True
        if all(before[name] == value for name, value in row.items()):
            return False
        place = (SHARES.c.key == row["key"]) & (SHARES.c.gateway == self.id)
        connection.execute(sa.update(SHARES).where(place).values(row))
        return True

    def _share_row(self, name: str, share: KeyShare, use: KeyUse) -> dict[str, Any]:
        return {
            "key": name, "gateway": self.id, "requests": share.requests,
            "concurrent": share.concurrent, "used_requests": use.requests,
            "used_concurrent": use.concurrent, "demand": use.demand,
        }  # fmt: skip

    def _rows(
        self, connection: sa.Connection, names: Sequence[str]
    ) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Every gateway's row of these keys: by key, then by gateway."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        for start in range(0, len(names), _AT_ONCE):
            wanted = SHARES.c.key.in_(names[start : start + _AT_ONCE])
            for row in connection.execute(sa.select(SHARES).where(wanted)).mappings():
                found.setdefault(row["key"], {})[row["gateway"]] = dict(row)
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Delete this gateway's shares of keys that are gone."""
        with self._database.writing() as connection:
            place = (SHARES.c.gateway == self.id) & SHARES.c.key.in_(list(names))
            connection.execute(sa.delete(SHARES).where(place))


def _shares(limits: KeyShare, use: KeyUse, rows: Mapping[str, Any], others: Others) -> KeyShare:
    alive = [rows.get(name) or _ABSENT[sharing] for name, sharing in others.alive.items()]
    gone = [(rows[name], age) for name, age in others.gone.items() if name in rows]
    requests = concurrent = None
    if limits.requests is not None:
        used = sum(still_counts(row["used_requests"], age) for row, age in gone)
        parts = [_part(row, "requests", "used_requests") for row in alive]
        requests = next_share(limits.requests, LimitPart(0, use.requests, use.demand), parts, used)
    if limits.concurrent is not None:
        parts = [_part(row, "concurrent", "used_concurrent") for row in alive]
        concurrent = next_share(limits.concurrent, LimitPart(0, use.concurrent, use.demand), parts)
    return KeyShare(requests, concurrent)


def _part(row: Mapping[str, Any], share: str, used: str) -> LimitPart:
    return LimitPart(row[share], row[used], row["demand"])


def _absent(share: int | None) -> dict[str, Any]:
    return {"requests": share, "concurrent": share, "used_requests": 0, "used_concurrent": 0,
            "demand": 0.0}  # fmt: skip


# A gateway without a row for a key, by whether it shares limits: nothing, or all of it.
_ABSENT = {True: _absent(0), False: _absent(None)}


def _least(share: int | None, used: int) -> int | None:
    return None if share is None else max(share, used)


def booted_machine(boot: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """This boot of this machine, and the container: process ids mean the same there."""
    try:
        return f"{boot.read_text().strip()}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def runs_here(pid: int) -> bool:
    """Whether another process of this machine has that number."""
    import psutil

    return pid != os.getpid() and psutil.pid_exists(pid)
