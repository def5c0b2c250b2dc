"""The store's schema, as numbered steps. A step that was released is never edited."""

from __future__ import annotations

import sqlite3

# A port belongs to one deployment: UNIQUE makes the store the arbiter of a reservation.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
)

LATEST = len(MIGRATIONS)


def version(connection: sqlite3.Connection) -> int:
    """The number of the last step that was applied; 0 for an empty file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the missing steps, each in one transaction. Safe when several processes start it."""
    while version(connection) < LATEST:
        connection.execute("BEGIN IMMEDIATE")
        try:
            step = version(connection)
            if step < LATEST:
                for statement in MIGRATIONS[step]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {step + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
