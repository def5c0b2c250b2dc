"""The log of changes: who changed what, and when. Rows are only ever added.

Each row has a hash over itself and the hash of the row before: a row that was changed or taken
out in the middle is noticed (``broken_at``). No secret is in a row: only digests of what was
before and after.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from modelscan.state.clock import text_of
from modelscan.state.server.database import ServerDatabase, moment
from modelscan.state.server.tables import AUDIT

ActorKind = Literal["key", "user", "gateway"]
_LONGEST = 512
_CHAINED = ("at", "actor_kind", "actor", "action", "target", "before", "after")


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a change: a key by its name, a user of a machine, or the gateway itself."""

    kind: ActorKind
    name: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change. ``before`` and ``after``: SHA-256 of what was there; None: nothing."""

    id: int
    at: str
    actor_kind: ActorKind
    actor: str
    action: str
    target: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class AuditList:
    """The newest changes first. ``broken_at``: the first row that does not fit the one before;
    None: all of the newest 10,000 do.
    """

    changes: tuple[AuditRow, ...]
    broken_at: int | None


def local_user() -> Actor:
    """The user of this machine who runs the command: by the process, not by USER or LOGNAME."""
    try:
        import pwd

        user = pwd.getpwuid(os.getuid()).pw_name
    except ImportError:  # Windows
        user = getpass.getuser()
    except KeyError:  # a user id without a name
        user = f"uid{os.getuid()}"
    return Actor("user", f"{user}@{socket.gethostname()}")


def owner_of(file: Path) -> Actor:
    """The user whose file it is: who wrote it, as far as the file system says."""
    try:
        name = file.owner()
    except (KeyError, OSError, NotImplementedError):
        name = "unknown"
    return Actor("user", f"{name}@{socket.gethostname()}")


def digest(value: object) -> str | None:
    """SHA-256 of a JSON value or of bytes, for ``before`` and ``after``; None stays None."""
    if value is None:
        return None
    plain = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(plain).hexdigest()


def record_audit(
    connection: sa.Connection,
    who: Actor,
    what: str,
    target: str,
    *,
    before: object = None,
    after: object = None,
) -> None:
    """Add a change, in the caller's writing transaction.

    ``what`` is ``thing.verb`` (``key.create``); ``before`` and ``after`` are JSON values or bytes
    without secrets, of which only digests are stored.
    """
    last = sa.select(AUDIT.c.chain).order_by(AUDIT.c.id.desc()).limit(1)
    row: dict[str, Any] = {
        "at": moment(connection),
        "actor_kind": who.kind,
        "actor": who.name[:_LONGEST],
        "action": what,
        "target": target[:_LONGEST],
        "before": digest(before),
        "after": digest(after),
    }
    row["chain"] = _chain(connection.execute(last).scalar() or "", row)
    connection.execute(sa.insert(AUDIT).values(row))


def list_audit(
    database: ServerDatabase,
    *,
    limit: int,
    since: float | None = None,
    before_id: int | None = None,
) -> AuditList:
    """The newest changes first, not before a UNIX time; ``before_id``: those with lower ids."""
    query = sa.select(AUDIT).order_by(AUDIT.c.id.desc()).limit(limit)
    if since is not None:
        query = query.where(AUDIT.c.at >= since)
    if before_id is not None:
        query = query.where(AUDIT.c.id < before_id)
    with database.reading() as connection:
        rows = tuple(_row(dict(one)) for one in connection.execute(query).mappings())
        return AuditList(rows, broken_at(connection))


def broken_at(connection: sa.Connection, most: int = 10_000) -> int | None:
    """The id of the first of the newest rows whose hash does not follow from the row before.

    The oldest row is taken as it is: those before it were deleted by age. None: all of them do.
    """
    query = sa.select(AUDIT).order_by(AUDIT.c.id.desc()).limit(most)
    chain: str | None = None
    for one in reversed(connection.execute(query).mappings().all()):
        row = dict(one)
        if chain is not None and row["chain"] != _chain(chain, row):
            return int(row["id"])
        chain = row["chain"]
    return None


def _chain(before: str, row: Mapping[str, Any]) -> str:
    text = json.dumps([before, *(row[name] for name in _CHAINED)])
    return hashlib.sha256(text.encode()).hexdigest()


def _row(row: Mapping[str, Any]) -> AuditRow:
    names = ("actor_kind", "actor", "action", "target", "before", "after")
    return AuditRow(row["id"], text_of(row["at"]), *(row[name] for name in names))
