"""``route health``: every entry of the routing file, probed now without tokens."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from modelscan.gateway.control.probe import BackendProbe, is_probed, probe
from modelscan.gateway.sources import routing_world
from modelscan.routing.compile import compile as compile_table
from modelscan.routing.facts import Availability, Known, availability, known_entries
from modelscan.routing.file import check
from modelscan.routing.table import Backend, Tier
from modelscan.state.config import Config

_THREADS = 8


@dataclass(frozen=True, slots=True)
class EntryHealth:
    """An entry. ``healthy`` None: it was not probed (hosted, disabled, ended); ``reason`` says why
    it gets no requests. ``served``: the models that its server lists, with their context.
    """

    name: str
    model: str | None
    where: Tier
    state: Availability
    healthy: bool | None
    reason: str | None
    engine: str | None
    served: Mapping[str, int | None] | None


@dataclass(frozen=True, slots=True)
class RouteHealth:
    """Every entry. ``healthy``: no entry that gets requests is dead."""

    healthy: bool
    entries: tuple[EntryHealth, ...]
    warnings: tuple[str, ...] = ()


def route_health(config: Config, path: Path | None = None) -> RouteHealth:
    """Probe every enabled entry that is not a third party's; at most some seconds.

    ``path``: another routing file than the configured one. Problems of the file are warnings.
    """
    file = check(path or config.routing_file)
    world = routing_world(config, file)
    backends = {one.name: one for one in compile_table(file, world).backends}
    entries = tuple(known_entries(file.routes, file.providers, world))
    due = [one.name for one in entries if _is_due(one, backends[one.name])]
    with ThreadPoolExecutor(_THREADS) as pool:
        results = pool.map(lambda name: probe(backends[name], identify=True), due)
        probed = dict(zip(due, results, strict=True))
    rows = tuple(_row(one, probed.get(one.name)) for one in entries)
    messages = tuple(finding.message for finding in file.findings)
    return RouteHealth(all(row.healthy is not False for row in rows), rows, messages)


def _is_due(entry: Known, backend: Backend) -> bool:
    live = entry.route.enabled and not entry.seen.ends and not entry.seen.asleep
    return live and is_probed(backend)


def _row(entry: Known, result: BackendProbe | None) -> EntryHealth:
    healthy = None if result is None else result.fault is None
    probed = entry._replace(seen=replace(entry.seen, healthy=healthy))
    return EntryHealth(
        name=entry.name,
        model=entry.route.model,
        where=entry.route.tier,
        state=availability(probed),
        healthy=healthy,
        reason=_reason(entry) if result is None else result.fault,
        engine=(result.engine if result else None) or entry.seen.engine,
        served=result.served if result else None,
    )


def _reason(entry: Known) -> str | None:
    if entry.seen.asleep:
        return "a request through modelscan serve starts it"
    if not entry.route.enabled:
        return "disabled"
    if entry.seen.ends and entry.seen.state is None:  # no deployment of this machine
        return entry.seen.reason or "it gets no requests"
    if entry.seen.ends:
        return f"its deployment is {entry.seen.state}"
    return "not probed: a third party's, or behind a unix socket"
