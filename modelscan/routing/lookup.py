"""Finds a requested name in the routing table. Pure; used for each request of the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from modelscan.routing.table import RefusedCandidate, RouteEntry

_MOST_PARTS = 8


class Found(NamedTuple):
    """The route of a requested name; ``model``: the name to send, None: the candidate's own."""

    entry: RouteEntry
    model: str | None


def find_route(routes: Mapping[str, RouteEntry], name: str) -> Found | None:
    """The route of a name; None: there is none.

    ``NAME/MODEL`` means a model of the provider NAME, if that is one of many models: MODEL is sent
    as it is written. NAME alone has no candidates, unless its server has one model only.
    """
    entry = routes.get(name)
    if entry is not None:
        return Found(_without_model(entry) if entry.many_models else entry, None)
    for provider, model in _parted(name):
        entry = routes.get(provider)
        if entry is not None and entry.many_models:
            return Found(entry, model)
    return None


def _parted(name: str) -> Iterator[tuple[str, str]]:
    """Every way to read a name as NAME/MODEL, the shortest NAME first: both may have slashes."""
    parts = name.split("/", _MOST_PARTS)
    for count in range(1, len(parts)):
        model = "/".join(parts[count:])
        if model:
            yield "/".join(parts[:count]), model


def _without_model(entry: RouteEntry) -> RouteEntry:
    """The route of many models with none named."""
    if all(one.served_model is not None for one in entry.candidates):
        return entry
    reason = f"{entry.name} serves many models: request {entry.name}/MODEL"
    refused = tuple(RefusedCandidate(one.backend, reason) for one in entry.candidates)
    return replace(entry, candidates=(), refused=(*entry.refused, *refused))
