"""The stored deployments: one row each, and the measurements of their starts.

A row changes only under its deployment's lock (``deployment_lock``); SQLite serialises writers, so
commands for different deployments never wait long for each other.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import to_json
from modelscan.core.measurement import Measurement, SpeedMeasurement
from modelscan.state.database import Database, Migrations
from modelscan.state.doubled import delete_doubled
from modelscan.state.paths import check_utf8
from modelscan.state.records import (
    FORMAT,
    NewerRecord,
    format_of,
    from_document,
    measurement_of,
    speed_of,
    to_document,
    upgrade,
)

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment


class PortTaken(Exception):
    """The port is reserved by another deployment."""


class Store:
    """The stored deployments. Use it as a context manager, or ``close`` it.

    ``notes``: messages about rows that the last read could not read (later releases, broken parts).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, file: Path) -> Store:
        """Open or create the store. Raises ModelscanError if it is damaged or newer."""
        return cls(Database.open(file, MIGRATIONS))

    @classmethod
    def look(cls, file: Path) -> Store:
        """Open the store for reading; if it does not exist, an empty one in memory."""
        return cls(Database.look(file, MIGRATIONS))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str) -> Deployment | None:
        """The deployment with that name. Raises NewerRecord if a later release wrote it."""
        rows = self._database.rows("SELECT document FROM deployments WHERE name = ?", name)
        if not rows:
            return None
        deployment, broken = _read(name, str(rows[0][0]))
        self.notes = _notes(name, broken)
        return deployment

    def all(self) -> tuple[Deployment, ...]:
        """All readable deployments, sorted by name; ``notes`` has a message for each other one."""
        deployments, notes = [], list[str]()
        for name, text in self._database.rows(
            "SELECT name, document FROM deployments ORDER BY name"
        ):
            try:
                deployment, broken = _read(str(name), str(text))
            except ModelscanError as error:
                notes.append(error.message)
                continue
            deployments.append(deployment)
            notes += _notes(str(name), broken)
        self.notes = tuple(notes)
        return tuple(deployments)

    def stamp(self) -> int:
        """A number that differs, very probably, after any change of a row."""
        return hash(tuple(self._database.rows("SELECT name, document FROM deployments")))

    def names(self) -> frozenset[str]:
        """All names in use, including rows that only a later release can read."""
        return frozenset(str(row[0]) for row in self._database.rows("SELECT name FROM deployments"))

    def put(self, deployment: Deployment) -> None:
        """Insert or replace one row. Raises PortTaken if another deployment has its port."""
        document = json.dumps(to_document(deployment), ensure_ascii=False)
        check_utf8(document, f"a path of {deployment.name}:")
        row = (
            deployment.name, deployment.target, deployment.state.value, deployment.port,
            deployment.created_at, deployment.updated_at, document,
        )  # fmt: skip
        try:
            self._database.change(_UPSERT, *row)
        except sqlite3.IntegrityError as error:
            raise PortTaken(str(deployment.port)) from error
        measured = measurement(deployment)
        if measured is not None:
            self._database.change(
                "INSERT OR REPLACE INTO measurements VALUES (?, ?, ?)",
                measured.deployment, measured.started_at, json.dumps(to_json(measured)),
            )  # fmt: skip

    def delete(self, name: str) -> bool:
        """Delete a deployment's row. False if there was none."""
        return self._database.change("DELETE FROM deployments WHERE name = ?", name) > 0

    def ports(self) -> frozenset[int]:
        """The ports reserved by deployments."""
        sql = "SELECT port FROM deployments WHERE port IS NOT NULL"
        return frozenset(int(str(row[0])) for row in self._database.rows(sql))

    def measurements(self) -> tuple[Measurement, ...]:
        """All starts with measured memory, oldest first; they outlive their deployments."""
        rows = self._database.rows(
            "SELECT document FROM measurements ORDER BY started_at, deployment"
        )
        records = (measurement_of(json_value(str(row[0]))) for row in rows)
        return tuple(record for record in records if record is not None)

    def put_speed(self, measured: SpeedMeasurement) -> None:
        """Insert or replace one run's speed."""
        self._database.change(
            "INSERT OR REPLACE INTO speeds VALUES (?, ?, ?)",
            measured.deployment, measured.observed_at, json.dumps(to_json(measured)),
        )  # fmt: skip

    def speeds(self) -> tuple[SpeedMeasurement, ...]:
        """All measured speeds, oldest first; they outlive their deployments."""
        rows = self._database.rows("SELECT document FROM speeds ORDER BY observed_at, deployment")
        records = (speed_of(json_value(str(row[0]))) for row in rows)
        return tuple(record for record in records if record is not None)


_UPSERT = """
INSERT INTO deployments (name, target, state, port, created_at, updated_at, document)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET target = excluded.target, state = excluded.state,
    port = excluded.port, created_at = excluded.created_at, updated_at = excluded.updated_at,
    document = excluded.document
"""


def _read(name: str, text: str) -> tuple[Deployment, tuple[str, ...]]:
    """The deployment and the messages about its broken parts.

    Raises ModelscanError if unreadable.
    """
    try:
        document = json_value(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {}
    return from_document({**document, "name": name})


def _notes(name: str, broken: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"part of the record of '{name}' cannot be read: {part}" for part in broken)


def measurement(deployment: Deployment) -> Measurement | None:
    """Estimated and measured memory of a running deployment; None unless both are known."""
    plan, measured = deployment.plan, deployment.measured
    if plan is None or measured is None or not measured.total_bytes:
        return None
    # If the estimate is the engine's dry run, compare with the estimate of the formulas.
    formulas = measured.computed or plan.estimate
    started_at = deployment.started_at
    if deployment.state is not State.RUNNING or not started_at or not formulas.total_bytes:
        return None
    return Measurement(
        deployment=deployment.name,
        started_at=started_at,
        model=deployment.model,
        backend=deployment.backend,
        backend_version=plan.estimate.backend_version,
        quantization=deployment.quantization,
        context_tokens=deployment.context_tokens,
        estimated_bytes=formulas.total_bytes,
        measured_bytes=measured.total_bytes,
        margin_bytes=formulas.margin_bytes,
    )


def deployment_lock(locks_dir: Path, name: str) -> Path:
    """The lock file of one deployment."""
    return locks_dir / f"deployment-{name}.lock"


def _upgrade_rows(connection: sqlite3.Connection) -> None:
    """Upgrade rows of releases without format numbers to the current format."""
    for name, text in connection.execute("SELECT name, document FROM deployments").fetchall():
        with contextlib.suppress(ValueError):
            document = json_value(text)
            if format_of(document) < FORMAT:
                new = json.dumps(upgrade(document), ensure_ascii=False)
                connection.execute(
                    "UPDATE deployments SET document = ? WHERE name = ?", (new, name)
                )


# UNIQUE: a port is reserved by at most one deployment.
MIGRATIONS = Migrations(
    "deployments",
    (
        (
            """
            CREATE TABLE deployments (
                name TEXT PRIMARY KEY,
                target TEXT NOT NULL,
                state TEXT NOT NULL,
                port INTEGER UNIQUE,
                created_at TEXT NOT NULL,
                updated_at TEXT NOT NULL,
                document TEXT NOT NULL
            )
            """,
        ),
        (
            """
            CREATE TABLE measurements (
                deployment TEXT NOT NULL,
                started_at TEXT NOT NULL,
                document TEXT NOT NULL,
                PRIMARY KEY (deployment, started_at)
            )
            """,
        ),
        _upgrade_rows,
        delete_doubled,
        (
            """
            CREATE TABLE speeds (
                deployment TEXT NOT NULL,
                observed_at TEXT NOT NULL,
                document TEXT NOT NULL,
                PRIMARY KEY (deployment, observed_at)
            )
            """,
        ),
    ),
)

__all__ = ["MIGRATIONS", "NewerRecord", "PortTaken", "Store", "deployment_lock", "measurement"]
