"""Every metric of the gateway with its value now: requests, backends, engines, deployments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from modelscan.core.deployment import Deployment
from modelscan.core.deployment_state import State
from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.models import routable
from modelscan.gateway.control.status import WorkerStatus
from modelscan.gateway.counters import BackendRow, GlobalRow
from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.families import MetricFamily, by_label, one
from modelscan.gateway.metrics.requests import RequestFigures
from modelscan.traces.writer import ReceiptWriter

_ANSWERS = (HealthState.UP, HealthState.HALF_OPEN)


def figures(
    gateway: Gateway,
    requests: RequestFigures,
    workers: tuple[WorkerStatus, ...],
    writer: ReceiptWriter,
) -> Iterator[MetricFamily]:
    """One family for each definition."""
    yield from requests.families()
    yield from _backends(gateway)
    yield from _engines(gateway)
    hosts = gateway.nodes.hosts.values() if gateway.nodes is not None else ()
    yield by_label(d.NODES, Counter(host.state for host in hosts).items())
    yield by_label(d.DEPLOYMENT_MEMORY, _memory(gateway.loaded.deployments.values()))
    yield from _process(gateway, workers, writer)


def _backends(gateway: Gateway) -> Iterator[MetricFamily]:
    names = [backend.name for backend in gateway.table.backends]
    at = {name: gateway.requests_at(name) for name in names}
    up = ((name, float(gateway.state_of(name) in _ANSWERS)) for name in names)
    yield by_label(d.BACKEND_UP, up)
    rows = (
        (d.BACKEND_IN_FLIGHT, BackendRow.IN_FLIGHT), (d.BACKEND_WAITING, BackendRow.WAITING),
        (d.BACKEND_FAILURES, BackendRow.FAILURES),
    )  # fmt: skip
    for definition, row in rows:
        yield by_label(definition, ((name, at[name][row]) for name in names))
    loaded = ((name, gateway.is_loaded(name)) for name in names)
    yield by_label(d.BACKEND_LOADED, ((n, None if v is None else float(v)) for n, v in loaded))


def _engines(gateway: Gateway) -> Iterator[MetricFamily]:
    probes = gateway.probes.items()
    counted = [(name, seen.requests) for name, seen in probes if seen.requests is not None]
    yield by_label(d.ENGINE_RUNNING, ((name, one.running) for name, one in counted))
    yield by_label(d.ENGINE_WAITING, ((name, one.waiting) for name, one in counted))
    yield by_label(d.ENGINE_KV, ((name, seen.kv_cache_used) for name, seen in probes))


def _memory(
    deployments: Iterable[Deployment],
) -> Iterator[tuple[tuple[str, str], float | None]]:
    for deployment in deployments:
        if deployment.state is not State.RUNNING:
            continue
        plan, measured = deployment.plan, deployment.measured
        yield (deployment.name, "promised"), plan.estimate.total_bytes if plan else None
        yield (deployment.name, "measured"), measured.total_bytes if measured else None


def _process(
    gateway: Gateway, workers: tuple[WorkerStatus, ...], writer: ReceiptWriter
) -> Iterator[MetricFamily]:
    from modelscan import __version__

    counters = gateway.counters
    overall = {row: counters.total(counters.overall(row)) for row in GlobalRow}
    flying = sum(
        gateway.requests_at(backend.name)[BackendRow.IN_FLIGHT]
        for backend in gateway.table.backends
    )
    yield one(d.CONNECTIONS, overall[GlobalRow.CONNECTIONS])
    yield one(d.IN_FLIGHT, flying)
    yield one(d.HELD_BYTES, overall[GlobalRow.HELD_BYTES])
    yield one(d.EXCHANGES, overall[GlobalRow.REQUESTS])
    yield one(d.WORKERS, sum(worker.ready for worker in workers))
    yield one(d.WORKER_RESTARTS, sum(worker.restarts for worker in workers))
    yield one(d.RECEIPTS_WRITTEN, writer.written)
    yield one(d.RECEIPTS_DROPPED, writer.dropped)
    yield one(d.FILE_VALID, float(not gateway.refused))
    yield one(d.ROUTES, len(gateway.table.routes))
    yield one(d.ROUTABLE, sum(1 for _ in routable(gateway)))
    yield one(d.STARTED, gateway.started_at)
    yield by_label(d.BUILD, ((__version__, 1.0),))
