"""What modelscan remembers of its deployments: SQLite in WAL mode, one row per deployment.

A row changes only under its deployment's lock (``deployment_lock``); the store itself serialises
writers, so that commands for different deployments never wait long for each other.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.core.measurement import Measurement
from modelscan.state.files import EXPLAINED, PRIVATE_FILE, ensure_dir
from modelscan.state.migrations import LATEST, migrate, version

_BUSY_TIMEOUT_S = 20.0
_FIELDS = tuple(field.name for field in fields(Deployment))
_TUPLES = {"gpus", "drift"}


class PortTaken(Exception):
    """Another deployment has reserved that port."""


class Store:
    """The deployments on record. Use it as a context manager, or ``close`` it."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self._file = file

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open or create the store; raises ModelscanError for one that is damaged or newer.

        On a full or read-only disk it can still be read; every change then raises.
        """
        ensure_dir(file.parent)
        with _explained(file):
            try:
                return cls(_connect(file), file)
            except sqlite3.OperationalError as error:
                if _reason(error) not in _NOT_WRITABLE:
                    raise
                return cls(_connect_to_read(file, error), file)

    @classmethod
    def look(cls, file: Path) -> Store:
        """The store to read from; where there is none, an empty one that is written nowhere."""
        if file.exists():
            return cls.open(file)
        connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(connection)
        return cls(connection, file)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str) -> Deployment | None:
        """The deployment of that name."""
        rows = self._rows("WHERE name = ?", name)
        return rows[0] if rows else None

    def all(self) -> tuple[Deployment, ...]:
        """Every deployment, by name."""
        return tuple(self._rows(""))

    def put(self, deployment: Deployment) -> None:
        """Insert or replace one row; raises PortTaken when another one has its port."""
        document = json.dumps(to_json(deployment), ensure_ascii=False)
        row = (
            deployment.name, deployment.target, deployment.state.value, deployment.port,
            deployment.created_at, deployment.updated_at, document,
        )  # fmt: skip
        try:
            with _explained(self._file):
                self._connection.execute(_UPSERT, row)
                self._remember(deployment)
        except sqlite3.IntegrityError as error:
            raise PortTaken(str(deployment.port)) from error

    def measurements(self) -> tuple[Measurement, ...]:
        """Every start whose memory was measured, oldest first; they outlive their deployments."""
        with _explained(self._file):
            rows = self._connection.execute(
                "SELECT document FROM measurements ORDER BY started_at, deployment"
            ).fetchall()
        return tuple(Measurement(**json.loads(row[0])) for row in rows)

    def _remember(self, deployment: Deployment) -> None:
        """Keep what a start measured beside its estimate, once per start."""
        found = measurement(deployment)
        if found is not None:
            row = (found.deployment, found.started_at, json.dumps(to_json(found)))
            self._connection.execute("INSERT OR REPLACE INTO measurements VALUES (?, ?, ?)", row)

    def delete(self, name: str) -> bool:
        """Forget a deployment; False if there was none."""
        with _explained(self._file):
            cursor = self._connection.execute("DELETE FROM deployments WHERE name = ?", (name,))
        return cursor.rowcount > 0

    def ports(self) -> frozenset[int]:
        """The ports that deployments have reserved."""
        with _explained(self._file):
            rows = self._connection.execute(
                "SELECT port FROM deployments WHERE port IS NOT NULL"
            ).fetchall()
        return frozenset(row[0] for row in rows)

    def _rows(self, where: str, *values: str) -> list[Deployment]:
        sql = f"SELECT document FROM deployments {where} ORDER BY name"  # noqa: S608 - fixed text
        with _explained(self._file):
            rows = self._connection.execute(sql, values).fetchall()
        return [from_document(json.loads(row[0])) for row in rows]


_UPSERT = """
INSERT INTO deployments (name, target, state, port, created_at, updated_at, document)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET target = excluded.target, state = excluded.state,
    port = excluded.port, created_at = excluded.created_at, updated_at = excluded.updated_at,
    document = excluded.document
"""


def measurement(deployment: Deployment) -> Measurement | None:
    """What a running deployment tells about its estimate; None without both figures."""
    estimate = (deployment.plan or {}).get("estimate") or {}
    measured = (deployment.measured or {}).get("total_bytes")
    # Where the engine was asked for the estimate, the formulas' own is what can be learned from.
    formulas = (deployment.measured or {}).get("computed") or estimate
    estimated = formulas.get("total_bytes")
    ready = deployment.state is State.RUNNING and deployment.started_at
    if not ready or not measured or not estimated:
        return None
    return Measurement(
        deployment=deployment.name,
        started_at=str(deployment.started_at),
        model=deployment.model,
        backend=deployment.backend,
        backend_version=estimate.get("backend_version"),
        quantization=deployment.quantization,
        context_tokens=deployment.context_tokens,
        estimated_bytes=int(estimated),
        measured_bytes=int(measured),
        margin_bytes=formulas.get("margin_bytes"),
    )


def from_document(document: dict[str, Any]) -> Deployment:
    """A row as a Deployment. Fields an older version did not write keep their defaults."""
    values = {key: document[key] for key in _FIELDS if key in document}
    values["state"] = State(values["state"])
    for key in _TUPLES & values.keys():
        values[key] = tuple(values[key])
    return Deployment(**values)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    try:
        _prepare(connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_read(file: Path, refusal: sqlite3.OperationalError) -> sqlite3.Connection:
    """WAL needs files beside the store, also to read; without them, only what is in the store
    itself. Raises ``refusal`` where that is not all of it."""
    log = file.with_name(file.name + "-wal")
    if not file.is_file() or (log.is_file() and log.stat().st_size):
        raise refusal
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    if version(connection) != LATEST:
        connection.close()
        raise refusal
    return connection


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    found = version(connection)
    if found > LATEST:
        raise ModelscanError(
            f"{file} was written by a newer modelscan (schema {found}, this one knows {LATEST})",
            hint="pip install --upgrade modelscan-deploy",
            code="store_newer",
        )
    if found < LATEST:
        _initialise(connection, file)
    connection.execute("PRAGMA synchronous = NORMAL")


def _initialise(connection: sqlite3.Connection, file: Path) -> None:
    """Switching to WAL ignores the busy timeout, so the first commands take turns."""
    from modelscan.state.locks import hold

    with hold(file.with_suffix(".lock"), what="the store"):
        connection.execute("PRAGMA journal_mode = WAL")
        migrate(connection)
        file.chmod(PRIVATE_FILE)


@contextlib.contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise ModelscanError(
                f"the store {file} is busy (waited {_BUSY_TIMEOUT_S:g} s)",
                hint="wait for the other modelscan commands to finish, then try again",
                code="locked",
            ) from error
        raise ModelscanError(
            f"the store {file} cannot be used: {error}",
            hint=_remedy(file, error),
            code="store",
        ) from error


# SQLite's words for a disk that takes no more, a folder or a file that may not be written.
_NOT_WRITABLE = (
    "database or disk is full",
    "disk I/O error",
    "unable to open database file",
    "attempt to write a readonly database",
)
_LEAST_FREE_BYTES = 1 << 20


def _reason(error: sqlite3.Error) -> str:
    return str(error).partition(":")[0]


def _remedy(file: Path, error: sqlite3.Error) -> str:
    """A store that only cannot be written is never to be moved away."""
    if _reason(error) not in _NOT_WRITABLE:
        return f"mv '{file}' '{file}.broken'   (modelscan then starts an empty one)"
    if shutil.disk_usage(file.parent).free < _LEAST_FREE_BYTES:
        return EXPLAINED[errno.ENOSPC]
    return EXPLAINED[errno.EROFS] if not os.access(file.parent, os.W_OK) else "modelscan doctor"


def deployment_lock(locks_dir: Path, name: str) -> Path:
    """The lock file of one deployment."""
    return locks_dir / f"deployment-{name}.lock"
