"""The state of the server's database: size, tables with their limits, the gateways on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from modelscan.state.clock import text_of
from modelscan.state.config import Config
from modelscan.state.server.database import ServerDatabase, moment, revision_of
from modelscan.state.server.place import DatabaseKind
from modelscan.state.server.retention import (
    AUDIT_MOST,
    EVENTS_MOST,
    HOSTS_DAYS,
    MOST_REPORTS_STORED,
    MOST_RESULTS_STORED,
    MOST_SAMPLES_STORED,
    USAGE_HOURS_DAYS,
)
from modelscan.state.server.shares import booted_machine, runs_here
from modelscan.state.server.sharing import LEASE_S
from modelscan.state.server.tables import GATEWAYS


@dataclass(frozen=True, slots=True)
class TableStatus:
    """A table. ``kept``: for how long or how many; None: as many as were created."""

    name: str
    rows: int
    kept: str | None


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway of the database; gone: it was not seen for 10 s, or has ended."""

    address: str
    host: str
    pid: int
    version: str
    state: Literal["running", "gone"]
    started_at: str
    seen_at: str


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The database. ``place`` never has a password."""

    kind: DatabaseKind
    place: str
    revision: str
    size_bytes: int
    tables: tuple[TableStatus, ...]
    gateways: tuple[GatewayRow, ...]


def server_status(database: ServerDatabase, config: Config) -> ServerStatus:
    """Everything about the database. Raises ModelscanError if it is unusable."""
    with database.reading() as connection:
        names = sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"})
        return ServerStatus(
            kind=database.place.kind,
            place=database.place.shown,
            revision=str(revision_of(connection)),
            size_bytes=_size_bytes(connection),
            tables=tuple(
                TableStatus(name, _count(connection, name), kept(config).get(name))
                for name in names
            ),
            gateways=tuple(_gateways(connection)),
        )


def kept(config: Config) -> dict[str, str]:
    """For how long the rows of each growing table are kept."""
    return {
        "receipts": f"{config.receipts_keep_days} days or {config.receipts_keep_mib:,} MiB",
        "receipt_hours": "400 days",
        "receipt_contents": f"{config.contents_keep_days:g} days",
        "audit": f"{config.audit_keep_days} days or {AUDIT_MOST:,} rows",
        "events": f"the newest {EVENTS_MOST:,}",
        "usage": f"by hour for {USAGE_HOURS_DAYS} days, then one sum",
        "hosts": f"{HOSTS_DAYS} days after the last message",
        "services": "with their host",
        "samples": f"the newest {MOST_SAMPLES_STORED:,}",
        "bench_reports": f"the newest {MOST_REPORTS_STORED:,}",
        "curation_steps": "always",
        "model_results": f"the newest {MOST_RESULTS_STORED:,}",
        "gateways": "1 day after the end",
        "shares": "1 day after the gateway's end",
    }


def running_gateways(connection: sa.Connection) -> list[GatewayRow]:
    """The gateways that run on the database."""
    return [row for row in _gateways(connection) if row.state == "running"]


def _gateways(connection: sa.Connection) -> list[GatewayRow]:
    now, machine = moment(connection), booted_machine()
    rows = connection.execute(sa.select(GATEWAYS).order_by(GATEWAYS.c.started_at)).mappings()
    return [
        GatewayRow(
            row["address"], row["host"], row["pid"], row["version"],
            "running" if now - row["seen_at"] < LEASE_S and not _is_dead(row, machine) else "gone",
            text_of(row["started_at"]), text_of(row["seen_at"]),
        )
        for row in rows
    ]  # fmt: skip


def _is_dead(row: sa.RowMapping, machine: str) -> bool:
    """A killed gateway of this machine is gone before its lease ends."""
    running = row["pid"] == os.getpid() or runs_here(row["pid"])
    return row["machine"] == machine and not running


def _count(connection: sa.Connection, name: str) -> int:
    table = sa.table(name)
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _size_bytes(connection: sa.Connection) -> int:
    if connection.dialect.name == "postgresql":
        query = sa.select(sa.func.pg_database_size(sa.func.current_database()))
        return int(connection.execute(query).scalar_one())
    pages, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar() or 0)
        for name in ("page_count", "page_size")
    )
    return pages * size
