"""Makes the gateway's routing table from the routing file and from what is observed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from modelscan.routing.automatic_rules import automatic_rules
from modelscan.routing.built_in import AUTO, role_named, roles_of
from modelscan.routing.effective import effective_policy
from modelscan.routing.facts import (
    TASKS,
    Known,
    context_window,
    engine_of,
    known_entries,
    operations_of,
    why_unusable,
)
from modelscan.routing.lookup import find_route
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.role_format import RoleFields
from modelscan.routing.scoring import SERVICE_WEIGHTS, Runtime, Signals, runtime_signal, score
from modelscan.routing.select import RolePool, role_pool, strategy_of
from modelscan.routing.table import (
    Backend,
    RefusedCandidate,
    RouteCandidate,
    RouteEntry,
    RouteKind,
    RouteTable,
)
from modelscan.routing.world import World

_PORTS = {"http": 80, "https": 443}
Routes = dict[str, RouteEntry]


def compile(file: RoutingFile, world: World) -> RouteTable:
    """The table. Its backends are the file's entries, index by index, usable or not."""
    entries = tuple(known_entries(file.routes, file.providers, world))
    services = _services(_names(entries), file)
    roles = {role.role_id: _role_entry(role, entries, file, world) for role in roles_of(file)}
    aliases = _aliases(file, {**roles, **services})
    short = _services(_short_names(entries), file)
    routes = {**short, **roles, **aliases, **services}  # of two kinds the later one counts
    default = file.default_provider if file.default_provider in services else None
    return RouteTable(
        revision=world.revision,
        backends=tuple(_backend(entry) for entry in entries),
        routes=routes,
        default=default,
        limits=file.limits,
        fallback=file.fallback,
        rules=automatic_rules(file, entries, routes, default),
    )


def _services(names: Iterable[tuple[str, RouteKind, list[Known]]], file: RoutingFile) -> Routes:
    routes: Routes = {}
    for name, kind, matches in names:
        if name not in routes:
            routes[name] = _service_entry(name, kind, matches, file)
    return routes


def _names(entries: Sequence[Known]) -> Iterator[tuple[str, RouteKind, list[Known]]]:
    """Every name of an entry or a model, with the entries that it means."""
    for entry in entries:
        yield entry.name, "provider", [entry]
    lists: tuple[list[list[str | None]], ...] = (
        [[entry.route.model] for entry in entries],
        [[entry.route.served_model] for entry in entries],
        [list(entry.seen.served or ()) if entry.route.model is None else [] for entry in entries],
    )
    for names in lists:
        for name in dict.fromkeys(one for group in names for one in group if one):
            matches = [entry for entry, own in zip(entries, names, strict=True) if name in own]
            yield name, "model", matches


def _short_names(entries: Sequence[Known]) -> Iterator[tuple[str, RouteKind, list[Known]]]:
    """The last part of a model's id, where it means one model only."""
    by_short: dict[str, set[str]] = {}
    for entry in entries:
        if entry.route.model:
            short = entry.route.model.rpartition("/")[2]
            by_short.setdefault(short, set()).add(entry.route.model)
    for short, models in by_short.items():
        if len(models) == 1:
            yield short, "model", [one for one in entries if one.route.model in models]


def _service_entry(
    name: str, kind: RouteKind, matches: Sequence[Known], file: RoutingFile
) -> RouteEntry:
    """The route of an entry or of a model: the entries in the order of the file."""
    usable = [entry for entry in matches if _configured(entry)]
    many = kind == "provider" and matches[0].route.model is None
    served = name if kind == "model" else _only_model(matches[0]) if many else None
    return RouteEntry(
        name=name,
        kind=kind,
        operation=None,
        strategy="priority",
        candidates=tuple(_candidate(entry, None, served) for entry in usable),
        fallbacks=_others(file, matches) if file.fallback else (),
        refused=_refused(matches),
        tags=tuple(dict.fromkeys(tag for entry in matches for tag in entry.route.tags)),
        context_tokens=_context(usable),
        many_models=many,
    )


def _only_model(entry: Known) -> str | None:
    """The model of a server that turned out to serve one; None: several, or not known."""
    served = tuple(entry.seen.served or ())
    return served[0] if len(served) == 1 else None


def _configured(entry: Known) -> bool:
    """Whether an entry has a backend to ask; whether that is healthy is decided per request."""
    enabled = entry.route.enabled or entry.seen.asleep
    return enabled and not entry.seen.ends and not entry.spent


def _refused(matches: Iterable[Known]) -> tuple[RefusedCandidate, ...]:
    unusable = ((one, why_unusable(one)) for one in matches if not _configured(one))
    return tuple(RefusedCandidate(one.place, f"{one.name} {why}") for one, why in unusable)


def _others(file: RoutingFile, matches: Sequence[Known]) -> tuple[str, ...]:
    """With ``fallback``: the other entries with a model, as they are written."""
    own = {entry.name for entry in matches}
    return tuple(one.name for one in file.routes if one.name not in own and one.model)


def _candidate(
    entry: Known, role: RoleFields | None, served: str | None = None, value: float | None = None
) -> RouteCandidate:
    if value is None and entry.seen.runtime != Runtime():
        value = score(Signals(runtime=runtime_signal(entry.seen.runtime)), SERVICE_WEIGHTS)
    many = entry.route.model is None
    return RouteCandidate(
        backend=entry.place,
        policy=effective_policy(entry, role),
        score=value,
        loaded=entry.seen.runtime.loaded,
        served_model=served if many else None,
        waiting=entry.seen.runtime.queue,
    )


def _context(entries: Iterable[Known]) -> int | None:
    """The tokens that every entry accepts, of those that are known."""
    windows = [tokens for one in entries if (tokens := context_window(one).tokens) is not None]
    return min(windows, default=None)


def _role_entry(
    role: RoleFields, entries: Sequence[Known], file: RoutingFile, world: World
) -> RouteEntry:
    empty = role is AUTO or role.role_id in world.spent
    pool = RolePool((), ()) if empty else role_pool(entries, role)
    chosen = [choice.entry for choice in pool.choices]
    return RouteEntry(
        name=role.role_id,
        kind="role",
        operation=TASKS[role.operation][0],
        strategy=strategy_of(role),
        candidates=tuple(_candidate(one.entry, role, None, one.score) for one in pool.choices),
        fallbacks=fallback_chain(file, role),
        refused=tuple(RefusedCandidate(one.entry.place, one.reason) for one in pool.refused),
        tags=tuple((role.routing_policy and role.routing_policy.requires_tags) or ()),
        context_tokens=_context(chosen),
        automatic=role is AUTO,
    )


def fallback_chain(file: RoutingFile, role: RoleFields) -> tuple[str, ...]:
    """The roles that are tried after this one, depth first, each once, of its operation."""
    chain: dict[str, None] = {}

    def follow(name: str) -> None:
        other = role_named(file, name)
        if name == role.role_id or name in chain or other is None:
            return
        if other.operation == role.operation:
            chain[name] = None
            for following in _next(other):
                follow(following)

    for name in _next(role):
        follow(name)
    return tuple(chain)


def _next(role: RoleFields) -> Sequence[str]:
    return (role.routing_policy and role.routing_policy.fallback_roles) or ()


def _aliases(file: RoutingFile, routes: Routes) -> Routes:
    aliases: Routes = {}
    for alias, target in file.aliases.items():
        found = find_route(routes, target)
        if found is not None:
            entry, model = found
            candidates = entry.candidates
            if model is not None:
                candidates = tuple(replace(one, served_model=model) for one in candidates)
            aliases[alias] = replace(
                entry, name=alias, kind="alias", candidates=candidates, many_models=False
            )
    return aliases


def _backend(entry: Known) -> Backend:
    route, fields = entry.route, entry.fields
    parts = urlsplit(route.base_url)
    scheme = "https" if parts.scheme == "https" else "http"
    return Backend(
        name=route.name,
        scheme=scheme,  # type: ignore[arg-type]
        host=parts.hostname or "localhost",
        port=parts.port or _PORTS[scheme],
        path=parts.path.rstrip("/").removesuffix("/v1"),
        unix_socket=fields.unix_socket,
        served_model=route.sent_model or None,
        model=route.model,
        authorization=("Authorization", f"Bearer {entry.secret}") if entry.secret else None,
        operations=operations_of(entry),
        dialects=tuple(fields.dialects or ()),
        engine=engine_of(entry),
        tier=route.tier,
        deployment=route.deployment,
        context_tokens=context_window(entry).tokens,
        max_in_flight=fields.max_in_flight,
        tags=route.tags,
    )
