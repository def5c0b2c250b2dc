"""The names that requests may use, and what is known of each: ``route models|services``. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelscan.routing.compile import compile as compile_table
from modelscan.routing.facts import (
    Availability,
    Known,
    availability,
    context_window,
    engine_of,
    family_name,
    known_entries,
    operations_of,
    why_unusable,
    without_requests,
)
from modelscan.routing.offload import Suitability, suitability
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.table import ContextSource, Operation, RouteEntry, RouteKind, Tier
from modelscan.routing.world import NOTHING_OBSERVED, World

_STATES: tuple[Availability, ...] = (
    "routable", "unproven", "asleep", "deployed", "deployable", "known",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RoutedName:
    """A name that a request may use as its model; the ids of the gateway's ``/v1/models``.

    ``state``: routable only if a backend of its own or of a fallback route answers, unproven while
    nothing shows that one does. ``where``: whose machines its backends are on.
    ``loaded`` and the latency are those of the backend that would answer, ``suitability`` which
    work it is fit for.
    """

    id: str
    kind: RouteKind
    operation: Operation | None
    state: Availability
    where: tuple[Tier, ...]
    model: str | None
    context_tokens: int | None
    context_source: ContextSource | None
    backends: tuple[str, ...]
    tags: tuple[str, ...]
    loaded: bool | None
    p50_latency_ms: float | None
    suitability: Suitability


@dataclass(frozen=True, slots=True)
class RoutedNames:
    """Every name, in the order in which a request looks them up within its kind."""

    models: tuple[RoutedName, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutedService:
    """An entry with everything that is known of it; None: not known. ``node``: the host that
    reports it; None: the routing file has it."""

    name: str
    model: str | None
    where: Tier
    state: Availability
    reason: str | None
    engine: str | None
    family: str | None
    operations: tuple[Operation, ...] | None
    context_tokens: int | None
    context_source: ContextSource | None
    loaded: bool | None
    node: str | None


@dataclass(frozen=True, slots=True)
class RoutedServices:
    """Every entry of the file, then every service of a node."""

    services: tuple[RoutedService, ...]
    warnings: tuple[str, ...] = ()


def list_names(file: RoutingFile, world: World) -> RoutedNames:
    """The names of the compiled table."""
    table = compile_table(file, world)
    entries = tuple(known_entries(file.routes, file.providers, world))
    rows = (_name(entry, table.routes, entries) for entry in table.routes.values())
    return RoutedNames(tuple(sorted(rows, key=lambda row: (row.kind, row.id))))


def list_services(file: RoutingFile, world: World) -> RoutedServices:
    """The file's entries in its order."""
    entries = known_entries(file.routes, file.providers, world)
    return RoutedServices(tuple(_service(entry) for entry in entries))


def _name(entry: RouteEntry, routes: dict[str, RouteEntry], entries: Sequence[Known]) -> RoutedName:
    own = _backends(entry, entries)
    named = [entries[one.backend] for one in entry.refused]
    reachable = [*own, *(one for name in entry.fallbacks if name in routes
                         for one in _backends(routes[name], entries))]  # fmt: skip
    if entry.automatic:
        reachable = list(entries)
    best = next(iter(own), None)
    window = None if best is None else context_window(best)
    runtime = (best.seen if best else NOTHING_OBSERVED).runtime
    return RoutedName(
        id=entry.name,
        kind=entry.kind,
        operation=entry.operation,
        state=_best_state(reachable, named),
        where=tuple(dict.fromkeys(one.route.tier for one in own)),
        model=None if best is None else best.route.model,
        context_tokens=window.tokens if window else None,
        context_source=window.source if window else None,
        backends=tuple(one.name for one in own),
        tags=entry.tags,
        loaded=runtime.loaded,
        p50_latency_ms=runtime.p50_latency_ms,
        suitability=suitability(runtime.loaded, runtime.p50_latency_ms),
    )


def _backends(entry: RouteEntry, entries: Sequence[Known]) -> list[Known]:
    return [entries[candidate.backend] for candidate in entry.candidates]


def _best_state(reachable: Sequence[Known], refused: Sequence[Known]) -> Availability:
    """An entry that a role's gates refuse may answer others: for this name it is not routable."""
    states = {availability(one) for one in reachable}
    states |= {without_requests(one) for one in refused}
    return next((state for state in _STATES if state in states), "known")


def _service(entry: Known) -> RoutedService:
    window = context_window(entry)
    return RoutedService(
        name=entry.name,
        model=entry.route.model,
        where=entry.route.tier,
        state=availability(entry),
        reason=why_unusable(entry),
        engine=engine_of(entry),
        family=family_name(entry),
        operations=operations_of(entry),
        context_tokens=window.tokens,
        context_source=window.source,
        loaded=entry.seen.runtime.loaded,
        node=entry.seen.node,
    )
