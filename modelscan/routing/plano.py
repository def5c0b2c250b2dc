"""The modes plano_proxy and plano_embedded: Plano chooses the model of chat requests. Pure.

Plano becomes an entry of the routing file, to which the routes of models that chat and of roles
lead. With ``fallback`` their own backends answer where Plano does not. Embeddings and the like stay
as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from modelscan.routing.exports.plano import plano_name
from modelscan.routing.format import PortsFields, ProviderFields
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.schema import route_of
from modelscan.routing.table import Backend, RouteCandidate, RouteEntry

CHOICE = "none"
"""The model with which a request leaves the choice to Plano."""
PLANO = "plano"
"""The name of Plano's entry, where the file has no entry of its own with that name."""
Routes = Mapping[str, RouteEntry]


def with_plano(file: RoutingFile) -> RoutingFile:
    """The file with Plano after its own entries; in mode direct, and a second time, the same.

    An entry that its owner named plano is the owner's: Plano has another name then.
    """
    place = _place(file)
    if place is None or file.plano is not None:
        return file
    address, key = place
    name = _free_name(file)
    fields = ProviderFields(name, "openai", base_url=address.rstrip("/"), api_key=key)
    own = len(file.written)  # entries that nodes report come after it
    return replace(
        file,
        routes=(*file.routes[:own], route_of(fields), *file.routes[own:]),
        providers=(*file.providers[:own], fields, *file.providers[own:]),
        plano=name,
    )


def _free_name(file: RoutingFile) -> str:
    """A name that no entry, alias, role or model of the file has."""
    used = {route.name for route in file.routes} | set(file.aliases)
    used |= {role.role_id for role in file.roles}
    used |= {name for route in file.routes for name in (route.model, route.served_model) if name}
    names = (PLANO, *(f"{PLANO}-{number}" for number in range(2, len(used) + 3)))
    return next(name for name in names if name not in used)


def _place(file: RoutingFile) -> tuple[str, str | None] | None:
    """Plano's address and the reference of its key."""
    if file.mode == "plano_proxy" and file.proxy is not None:
        return file.proxy.base_url, file.proxy.api_key
    if file.mode == "plano_embedded":
        ports = (file.embedded.ports if file.embedded else None) or PortsFields()
        return f"http://127.0.0.1:{ports.egress}", None
    return None


def through_plano(
    file: RoutingFile, backends: tuple[Backend, ...], routes: Routes, default: str | None
) -> tuple[dict[str, RouteEntry], str | None]:
    """The routes and the default of a file that has Plano; in mode direct they do not change."""
    place = next((at for at, one in enumerate(backends) if one.name == file.plano), None)
    if place is None:
        return dict(routes), default
    changed = {
        name: _through(entry, place, backends, file.fallback) if _chats(entry, backends) else entry
        for name, entry in routes.items()
    }
    last = routes.get(default or "") if file.fallback else None
    own = () if last is None else last.candidates
    candidates = (RouteCandidate(place, served_model=CHOICE), *own)
    choice = CHOICE if CHOICE not in routes else f"{file.plano}-choice"  # an owner's name stays
    changed[choice] = RouteEntry(choice, "provider", "chat", "priority", candidates)
    return changed, choice


def _chats(entry: RouteEntry, backends: tuple[Backend, ...]) -> bool:
    """Whether Plano knows the route: a role of chat, or models that chat and have a name."""
    if entry.automatic or entry.many_models or entry.operation not in (None, "chat"):
        return False
    own = [backends[one.backend] for one in entry.candidates]
    return entry.kind == "role" or (
        bool(own)
        and all(
            one.model is not None and (one.operations is None or "chat" in one.operations)
            for one in own
        )
    )


def _through(
    entry: RouteEntry, place: int, backends: tuple[Backend, ...], fallback: bool
) -> RouteEntry:
    """The route by way of Plano, before its own backends. A role is Plano's to decide, so that it
    is sent no model; its policy applies on both ways."""
    first = next((one for one in entry.candidates if one.backend != place), None)
    served = CHOICE if entry.kind == "role" or first is None else _served(first, backends)
    plano = RouteCandidate(place, None if first is None else first.policy, served_model=served)
    own = tuple(one for one in entry.candidates if one.backend != place) if fallback else ()
    return replace(entry, candidates=(plano, *own), strategy="priority", refused=())


def _served(candidate: RouteCandidate, backends: tuple[Backend, ...]) -> str:
    backend = backends[candidate.backend]
    return plano_name(candidate.served_model or backend.served_model or backend.model or "")
