"""Makes the gateway's routing table from the routing file and from what is observed. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from modelscan.core.route import Route
from modelscan.net.address import is_loopback
from modelscan.routing.policy import merge
from modelscan.routing.schema import RoutingFile
from modelscan.routing.table import (
    Backend,
    BodyPolicy,
    Candidate,
    Limits,
    RouteEntry,
    RouteTable,
    Tier,
)
from modelscan.routing.world import NOTHING_OBSERVED, Observation, World

_PORTS = {"http": 80, "https": 443}


def compile(file: RoutingFile, world: World) -> RouteTable:
    """The table; entries that are disabled or whose deployment ended are left out."""
    usable = [one for one in file.routes if _usable(one, world)]
    backends = tuple(_backend(one, world) for one in usable)
    routes: dict[str, RouteEntry] = {}
    for name, indexes in _names(usable):
        candidates = tuple(Candidate(at, _policy(usable[at], world)) for at in indexes)
        kind = "provider" if len(indexes) == 1 and usable[indexes[0]].name == name else "model"
        entry = RouteEntry(name, kind, None, "priority", candidates)  # type: ignore[arg-type]
        routes.setdefault(name, entry)
    default = file.default_provider if file.default_provider in routes else None
    return RouteTable(world.revision, backends, routes, default, Limits(), file.fallback)


def _usable(route: Route, world: World) -> bool:
    return route.enabled and not _seen(route, world).ends


def _seen(route: Route, world: World) -> Observation:
    return world.observations.get(route.name, NOTHING_OBSERVED)


def _backend(route: Route, world: World) -> Backend:
    parts = urlsplit(route.base_url)
    secret = world.secrets.get(route.api_key) if route.api_key else None
    return Backend(
        name=route.name,
        scheme="https" if parts.scheme == "https" else "http",
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        path=parts.path.rstrip("/").removesuffix("/v1"),
        served_model=route.served_model or (None if route.type == "openai" else route.model),
        model=route.model,
        authorization=("Authorization", f"Bearer {secret}") if secret else None,
        engine=_seen(route, world).engine,
        tier=_tier(route),
        deployment=route.deployment,
        context_tokens=route.context_tokens,
        tags=route.tags,
    )


def _tier(route: Route) -> Tier:
    if route.type == "openai" and not is_loopback(urlsplit(route.base_url).hostname or ""):
        return "third_party"
    return "local" if is_loopback(urlsplit(route.base_url).hostname or "") else "self_hosted"


def _policy(route: Route, world: World) -> BodyPolicy | None:
    defaults = merge({}, _seen(route, world).sampling)
    return BodyPolicy(defaults, {}) if defaults else None


def _names(routes: list[Route]) -> Iterator[tuple[str, list[int]]]:
    """Every name that a request may use, providers first, with the entries that it means."""
    for at, one in enumerate(routes):
        yield one.name, [at]
    for names in ([r.model for r in routes], [r.served_model for r in routes]):
        for name in dict.fromkeys(names):
            if name:
                yield name, [at for at, other in enumerate(names) if other == name]
