"""Finds a requested name in the routing table. Pure; used for each request of the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from modelscan.routing.table import RouteEntry


class Found(NamedTuple):
    """The route of a requested name; ``model``: the name to send, None: the candidate's own."""

    entry: RouteEntry
    model: str | None


def find_route(routes: Mapping[str, RouteEntry], name: str) -> Found | None:
    """The route of a name; None: there is none.

    ``NAME/MODEL`` means a model of the provider NAME, if that is one of many models: MODEL is sent
    as it is written. NAME alone has no model to send there, and no candidates.
    """
    entry = routes.get(name)
    if entry is not None:
        return Found(entry, None)
    provider, slash, model = name.partition("/")
    entry = routes.get(provider) if slash else None
    return Found(entry, model) if entry is not None and entry.many_models and model else None
