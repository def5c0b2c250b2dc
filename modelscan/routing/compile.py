"""Makes the gateway's routing table from the routing file and from what is observed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NamedTuple
from urllib.parse import urlsplit

from modelscan.routing.automatic_rules import automatic_rules
from modelscan.routing.built_in import AUTO, role_named, roles_of
from modelscan.routing.effective import depth_of, effective_policy, thinking_of
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
from modelscan.routing.memo import TableMemo
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.plano import through_plano, with_plano
from modelscan.routing.role_format import RoleFields
from modelscan.routing.scoring import SERVICE_WEIGHTS, Runtime, Signals, score
from modelscan.routing.select import RolePool, measured, role_pool, strategy_of
from modelscan.routing.table import (
    Backend,
    RefusedCandidate,
    RouteCandidate,
    RouteEntry,
    RouteKind,
    RouteTable,
)
from modelscan.routing.tool_format import spec_of
from modelscan.routing.world import World

# Of one route; with more, the first ones (of a role the best ones) are enough.
MOST_CANDIDATES, MOST_REFUSED = 512, 100
_PORTS = {"http": 80, "https": 443}
Routes = dict[str, RouteEntry]


def compile(file: RoutingFile, world: World, memo: TableMemo | None = None) -> RouteTable:
    """The table. Its backends are the file's entries, index by index, usable or not.

    Of two routes of one name, one that the file writes counts before one that a node reports.
    ``memo``: of the last table; it is brought up to date.
    """
    file = with_plano(file)
    entries = tuple(known_entries(file.routes, file.providers, world))
    memo = memo or TableMemo()
    memo.begin(file.roles, entries)
    backends = tuple(memo.made(one, "backend", partial(_backend, one)) for one in entries)
    candidates = _Candidates(memo, {one.name: one for one in entries})
    services = _services(_names(entries), file, candidates)
    reported = {name: one.route for name, one in services.items() if not one.written}
    written = {name: one.route for name, one in services.items() if one.written}
    short = _services(_short_names(entries), file, candidates)
    own_short = {name: one.route for name, one in short.items() if one.written}
    far_short = {name: one.route for name, one in short.items() if not one.written}
    roles = {
        role.role_id: _role_entry(role, entries, file, world, candidates) for role in roles_of(file)
    }
    aliases = _aliases(file, {**reported, **roles, **written})
    # Of one name the later one counts.
    routes = {**far_short, **reported, **own_short, **roles, **aliases, **written}
    default = file.default_provider if file.default_provider in services else None
    routes, default = through_plano(file, backends, routes, default)
    return RouteTable(
        revision=world.revision,
        backends=backends,
        routes=routes,
        default=default,
        limits=file.limits,
        fallback=file.fallback,
        rules=automatic_rules(file, entries, routes, default),
        tool_policies=tuple(map(spec_of, file.tool_policies)),
    )


class _Service(NamedTuple):
    """The route of an entry or a model. ``written``: the file has one of its entries."""

    route: RouteEntry
    written: bool


def _services(
    names: Iterable[tuple[str, RouteKind, list[Known]]], file: RoutingFile, made: _Candidates
) -> dict[str, _Service]:
    services: dict[str, _Service] = {}
    for name, kind, matches in names:
        if name not in services:
            written = any(_is_written(entry) for entry in matches)
            services[name] = _Service(_service_entry(name, kind, matches, file, made), written)
    return services


def _is_written(entry: Known) -> bool:
    return entry.seen.node is None


def _names(entries: Sequence[Known]) -> Iterator[tuple[str, RouteKind, list[Known]]]:
    """Every name of an entry or a model, with the entries that it means; the file's come first."""
    for entry in entries:
        yield entry.name, "provider", [entry]
    lists: tuple[Callable[[Known], Iterable[str | None]], ...] = (
        lambda entry: (entry.route.model,),
        lambda entry: (entry.route.served_model,),
        lambda entry: (entry.seen.served or ()) if entry.route.model is None else (),
    )
    for names_of in lists:
        for name, matches in _grouped(entries, names_of).items():
            yield name, "model", matches


def _grouped(
    entries: Iterable[Known], names_of: Callable[[Known], Iterable[str | None]]
) -> dict[str, list[Known]]:
    """The entries by their names, in one pass: there may be ten thousand."""
    groups: dict[str, list[Known]] = {}
    for entry in entries:
        for name in names_of(entry):
            if name:
                groups.setdefault(name, []).append(entry)
    return groups


def _short_names(entries: Sequence[Known]) -> Iterator[tuple[str, RouteKind, list[Known]]]:
    """The last part of a model's id, where it means one model only; the file's models first."""
    models = _grouped(entries, lambda entry: (entry.route.model,))
    written = [one for one in entries if _is_written(one)]
    done: set[str] = set()
    for part in (written, entries):
        by_short: dict[str, set[str]] = {}
        for model in _grouped(part, lambda entry: (entry.route.model,)):
            by_short.setdefault(model.rpartition("/")[2], set()).add(model)
        for short, own in by_short.items():
            if len(own) == 1 and short not in done:
                yield short, "model", models[next(iter(own))]
        done |= set(by_short)


def _service_entry(
    name: str, kind: RouteKind, matches: Sequence[Known], file: RoutingFile, made: _Candidates
) -> RouteEntry:
    """The route of an entry or of a model: the entries in the order of the file.

    Nodes that serve one model share its requests; entries of the file have the order of it.
    """
    usable = [entry for entry in matches if _configured(entry)]
    many = kind == "provider" and matches[0].route.model is None
    served = name if kind == "model" else _only_model(matches[0]) if many else None
    shared = len(usable) > 1 and not any(_is_written(entry) for entry in usable)
    tried = made.tried(usable[0]) if kind == "provider" and usable else ()
    return RouteEntry(
        name=name,
        kind=kind,
        operation=None,
        strategy="weighted" if tried else "least_loaded" if shared else "priority",
        candidates=tried
        or tuple(made.candidate(entry, served) for entry in usable[:MOST_CANDIDATES]),
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
    rows = (RefusedCandidate(one.place, f"{one.name} {why}") for one, why in unusable)
    return tuple(islice(rows, MOST_REFUSED))


def _others(file: RoutingFile, matches: Sequence[Known]) -> tuple[str, ...]:
    """With ``fallback``: the other entries of the file with a model, as they are written."""
    own = {entry.name for entry in matches}
    return tuple(one.name for one in file.written if one.name not in own and one.model)


class _Candidates:
    """Candidates, made once for each role and without one: most entries have several names."""

    def __init__(self, memo: TableMemo, entries: Mapping[str, Known]) -> None:
        self.memo = memo
        self.entries = entries

    def tried(self, entry: Known) -> tuple[RouteCandidate, ...]:
        """The candidates of an entry that gives a share of its requests to another one; () where
        it does not, or where the other one has no backend.
        """
        canary = entry.fields.canary
        other = self.entries.get(canary.provider) if canary is not None else None
        if canary is None or other is None or other is entry or not _configured(other):
            return ()
        ours, theirs = self.candidate(entry, None), self.candidate(other, None)
        shares = (1 - canary.share, canary.share)
        pair = zip((ours, theirs), shares, strict=True)
        return tuple(replace(one, weight=share) for one, share in pair)

    def candidate(self, entry: Known, served: str | None) -> RouteCandidate:
        """A candidate without a role; ``served``: the name to send, of a server of many models."""
        if entry.route.model is None:
            return _candidate(entry, None, served)
        return self._placed(entry, "candidate", partial(_candidate, entry, None))

    def of_role(self, entry: Known, role: RoleFields, value: float) -> RouteCandidate:
        """A candidate of a role, with its score there."""
        make = partial(_candidate, entry, role, None, value)
        return self._placed(entry, ("candidate", role.role_id), make)

    def _placed(
        self, entry: Known, key: Hashable, make: Callable[[], RouteCandidate]
    ) -> RouteCandidate:
        made = self.memo.made(entry, key, make)
        return made if made.backend == entry.place else replace(made, backend=entry.place)


def _candidate(
    entry: Known, role: RoleFields | None, served: str | None = None, value: float | None = None
) -> RouteCandidate:
    if value is None and entry.seen.runtime != Runtime():
        value = score(measured(Signals(), entry.seen)._replace(bench=None), SERVICE_WEIGHTS)
    many = entry.route.model is None
    return RouteCandidate(
        backend=entry.place,
        policy=effective_policy(entry, role),
        score=value,
        loaded=entry.seen.runtime.loaded,
        served_model=served if many else None,
        waiting=entry.seen.runtime.queue,
        depth=depth_of(entry, thinking_of(entry, role)),
    )


def _context(entries: Iterable[Known]) -> int | None:
    """The tokens that every entry accepts, of those that are known."""
    windows = [tokens for one in entries if (tokens := context_window(one).tokens) is not None]
    return min(windows, default=None)


def _role_entry(
    role: RoleFields, entries: Sequence[Known], file: RoutingFile, world: World,
    made: _Candidates,
) -> RouteEntry:  # fmt: skip
    empty = role is AUTO or role.role_id in world.spent
    pool = RolePool((), ()) if empty else role_pool(entries, role, made.memo)
    chosen = [choice.entry for choice in pool.choices]
    weights = (role.routing_policy and role.routing_policy.weights) or {}
    return RouteEntry(
        name=role.role_id,
        kind="role",
        operation=TASKS[role.operation][0],
        strategy=strategy_of(role),
        candidates=tuple(
            replace(made.of_role(one.entry, role, one.score), weight=weights.get(one.entry.name, 0))
            if weights
            else made.of_role(one.entry, role, one.score)
            for one in pool.choices[:MOST_CANDIDATES]
        ),
        fallbacks=fallback_chain(file, role),
        refused=tuple(
            RefusedCandidate(one.entry.place, one.reason) for one in pool.refused[:MOST_REFUSED]
        ),
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
    window = context_window(entry)
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
        context_tokens=window.tokens,
        context_source=window.source,
        max_in_flight=fields.max_in_flight,
        tags=route.tags,
        tls=(route.tls or entry.seen.tls) if scheme == "https" else None,
        reach=entry.seen.reach,
    )
