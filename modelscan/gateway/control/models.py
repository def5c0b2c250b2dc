"""``/v1/models``: OpenAI's list, with what is known of each model under ``modelscan``, and in
GenieHive's names under ``geniehive``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modelscan.gateway.control.failover import HealthState
from modelscan.gateway.control.gateway import Gateway
from modelscan.gateway.control.geniehive import ClusterView
from modelscan.routing.facts import Availability, availability, context_window
from modelscan.routing.offload import Suitability, suitability
from modelscan.routing.table import Backend, ContextSource, RouteEntry, RouteKind, Tier
from modelscan.traces.recent import Latency


@dataclass(frozen=True, slots=True)
class ContextFacts:
    """Tokens that one request may use, and who states it; None: not known."""

    tokens: int | None
    source: ContextSource | None


@dataclass(frozen=True, slots=True)
class ServedFacts:
    """What a client can choose by. ``state``: routable; unproven while no probe answered; asleep
    where a request starts it; or, in the list of everything, how far a model that cannot answer is.

    ``where``: the places of the backends; third_party: requests leave for a hosted provider.
    """

    kind: RouteKind
    operation: str | None
    state: Availability
    where: tuple[Tier, ...]
    loaded: bool | None
    context: ContextFacts
    latency: Latency
    suitability: Suitability
    model: str | None
    tags: tuple[str, ...]
    backends: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One row of OpenAI's list."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    modelscan: ServedFacts
    geniehive: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelRows:
    """OpenAI's list."""

    object: Literal["list"]
    data: tuple[ModelRow, ...]


def model_list(
    gateway: Gateway,
    allowed: tuple[str, ...] | None,
    tags: frozenset[str],
    open_view: bool = True,
    *,
    everything: bool = False,
) -> ModelRows:
    """The routes that a key may use and that can answer, by kind; ``tags``: with all of these.

    A route without a backend that answers, or that a request wakes, is left out, unless a fallback
    route can take over. ``everything``: those are listed, too, with their state. ``open_view``
    false: without the addresses of the servers.
    """
    view = ClusterView(gateway, open_view)
    entries = gateway.table.routes.values() if everything else routable(gateway)
    rows = (_row(view, entry) for entry in entries if _allowed(entry, allowed))
    return ModelRows("list", tuple(row for row in rows if tags <= set(row.modelscan.tags)))


def routable(gateway: Gateway) -> Iterator[RouteEntry]:
    """The routes that can answer: a dead endpoint is never among them."""
    for entry in gateway.table.routes.values():
        if _answers(gateway, entry, frozenset()):
            yield entry


def _answers(gateway: Gateway, entry: RouteEntry, seen: frozenset[str]) -> bool:
    backends = gateway.table.backends if entry.automatic else _backends(gateway, entry)
    if any(_alive(gateway, backend) for backend in backends):
        return True
    routes = gateway.table.routes
    rest = [routes[name] for name in entry.fallbacks if name in routes and name not in seen]
    return any(_answers(gateway, one, seen | {entry.name}) for one in rest)


def _alive(gateway: Gateway, backend: Backend) -> bool:
    return gateway.is_used(backend.name) and gateway.state_of(backend.name) is not HealthState.DOWN


def _backends(gateway: Gateway, entry: RouteEntry) -> list[Backend]:
    return [gateway.table.backends[one.backend] for one in entry.candidates]


def _allowed(entry: RouteEntry, allowed: tuple[str, ...] | None) -> bool:
    return allowed is None or entry.name in allowed


def _row(view: ClusterView, entry: RouteEntry) -> ModelRow:
    gateway = view.gateway
    backends = _backends(gateway, entry)
    alive = [one for one in backends if _alive(gateway, one)] or backends
    best = alive[0] if alive else None
    latency = _fastest([gateway.latency(one.name) for one in alive])
    loaded = _loaded([gateway.is_loaded(one.name) for one in alive])
    proven = any(gateway.state_of(one.name) is not HealthState.UNKNOWN for one in alive)
    facts = ServedFacts(
        kind=entry.kind,
        operation=entry.operation,
        state=_state(gateway, entry, backends, proven=proven),
        where=tuple(dict.fromkeys(one.tier for one in alive)),
        loaded=loaded,
        context=_context(gateway, entry, best),
        latency=latency,
        suitability=suitability(loaded, latency.p50_ms),
        model=None if best is None else best.model,
        tags=tuple(dict.fromkeys((*entry.tags, *(tag for one in alive for tag in one.tags)))),
        backends=len(alive),
    )
    owner = best.tier if best is not None else "modelscan"
    created = int(gateway.started_at)
    return ModelRow(entry.name, "model", created, owner, facts, view.model(entry))


def _state(
    gateway: Gateway, entry: RouteEntry, backends: Sequence[Backend], *, proven: bool
) -> Availability:
    """By the best of its backends; a fallback route that answers makes it routable."""
    if proven:
        return "routable"
    alive = [one for one in backends if _alive(gateway, one)]
    if any(one.name not in gateway.closed for one in alive):
        return "unproven"
    if alive:
        return "asleep"
    if _answers(gateway, entry, frozenset()):
        return "routable"
    places = (*(one.backend for one in entry.candidates), *(one.backend for one in entry.refused))
    known = [gateway.known.get(gateway.table.backends[at].name) for at in places]
    states = {availability(one) for one in known if one is not None}
    reached: tuple[Availability, ...] = ("deployed", "deployable")
    return next((one for one in reached if one in states), "known")


def _loaded(values: list[bool | None]) -> bool | None:
    return True if True in values else (False if values and None not in values else None)


def _fastest(values: list[Latency]) -> Latency:
    measured = [one for one in values if one.p50_ms is not None]
    return min(measured, key=lambda one: one.p50_ms or 0.0) if measured else Latency()


def _context(gateway: Gateway, entry: RouteEntry, backend: Backend | None) -> ContextFacts:
    """Of the route, with the source of the backend that would answer."""
    known = gateway.known.get(backend.name) if backend is not None else None
    if known is None:
        return ContextFacts(entry.context_tokens, None)
    window = context_window(known)
    return ContextFacts(window.tokens, window.source)
