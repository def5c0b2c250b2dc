"""What ``/health`` states about the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from modelscan.gateway.control.failover import Health
from modelscan.gateway.control.gateway import Gateway, sentences
from modelscan.gateway.control.models import routable
from modelscan.gateway.counters import BackendRow
from modelscan.routing.table import Tier
from modelscan.state.clock import text_of
from modelscan.state.server.place import DatabaseKind
from modelscan.traces.writer import ReceiptWriter


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker process. ``restarts``: how often it ended unexpectedly."""

    worker: int
    ready: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class BackendStatus:
    """A backend. ``state`` unknown: not probed, or not yet; asleep: a request starts it.
    ``reason``: why it is not up."""

    name: str
    state: str
    reason: str | None
    where: Tier
    engine: str | None
    in_flight: int
    requests: int
    failures: int


@dataclass(frozen=True, slots=True)
class FileStatus:
    """The routing file. ``valid`` false: the last valid one is in use, and ``errors`` say why."""

    path: str
    valid: bool
    revision: int
    loaded_at: str
    errors: tuple[str, ...]
    missing_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReceiptStatus:
    """Receipts since the start. ``error``: why they cannot be written at the moment."""

    written: int
    dropped: int
    error: str | None


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """The server's database. ``error``: why it is away; keys and limits are then the last ones."""

    kind: DatabaseKind
    place: str
    reachable: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class FaultStatus:
    """A part of the gateway that had errors that it should not have, and went on. ``error``: the
    last one, which the log has in full."""

    part: str
    count: int
    error: str
    last_at: str


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """The body of ``/health``: degraded where something needs attention, else ok.

    ``faults``: errors of parts of the gateway; degraded for ten minutes after the last one.
    """

    status: Literal["ok", "degraded"]
    version: str
    started_at: str
    uptime_s: float
    routing_file: FileStatus
    routes: int
    routable: int
    backends: tuple[BackendStatus, ...]
    workers: tuple[WorkerStatus, ...]
    receipts: ReceiptStatus
    database: DatabaseStatus
    faults: tuple[FaultStatus, ...] = ()


def gateway_status(
    gateway: Gateway, workers: tuple[WorkerStatus, ...], writer: ReceiptWriter
) -> GatewayStatus:
    """The state of everything."""
    from modelscan import __version__

    backends = tuple(_backends(gateway))
    down = any(one.state == "down" for one in backends)
    fault, place = gateway.database_fault, gateway.database.place
    fine = all(one.ready for one in workers) and not gateway.refused and not down and fault is None
    faults = tuple(gateway.faults.values())
    fine = fine and not any(one.recent for one in faults)
    file = FileStatus(
        str(gateway.config.routing_file), not gateway.refused, gateway.table.revision,
        text_of(gateway.reloaded_at), sentences(gateway.refused), gateway.loaded.missing,
    )  # fmt: skip
    return GatewayStatus(
        status="ok" if fine and writer.error is None else "degraded",
        version=__version__,
        started_at=text_of(gateway.started_at),
        uptime_s=round(time.time() - gateway.started_at, 3),
        routing_file=file,
        routes=len(gateway.table.routes),
        routable=sum(1 for _ in routable(gateway)),
        backends=backends,
        workers=workers,
        receipts=ReceiptStatus(writer.written, writer.dropped, writer.error),
        database=DatabaseStatus(place.kind, place.shown, fault is None, fault),
        faults=tuple(
            FaultStatus(one.part, one.count, one.error, text_of(one.at)) for one in faults
        ),
    )


def _backends(gateway: Gateway) -> Iterator[BackendStatus]:
    for backend in gateway.table.backends:
        health = gateway.health.get(backend.name, Health())
        seen = gateway.probes.get(backend.name)
        at = gateway.requests_at(backend.name)
        requests = gateway.runtime.requests[backend.name]
        state = "asleep" if backend.name in gateway.closed else health.state.value
        yield BackendStatus(
            backend.name, state, health.reason, backend.tier,
            backend.engine or (seen.engine if seen else None), at[BackendRow.IN_FLIGHT], requests,
            at[BackendRow.FAILURES],
        )  # fmt: skip


def is_ready(gateway: Gateway) -> bool:
    """Whether some route can answer."""
    return any(True for _ in routable(gateway))
