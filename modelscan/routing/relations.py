"""Checks of what the parts of a routing file say about each other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.core.finding import Finding
from modelscan.core.nearest import nearest

if TYPE_CHECKING:
    from modelscan.routing.parsed import RoutingFile
    from modelscan.routing.role_format import RoleFields

BUILT_IN_ROLES = ("auto", "fast")


def relations(file: RoutingFile, data: Any) -> Iterator[Finding]:
    """Names that mean two things, and parts that a mode needs."""
    yield from _providers(file)
    yield from _modes(file, data)
    yield from _alias_conflicts(file)
    yield from _role_conflicts(file, _places(data, "roles", "role_id"))
    names = [policy.name for policy in file.tool_policies]
    for name in sorted({one for one in names if names.count(one) > 1}):
        yield Finding("error", "routing.tool_policies", f"the policy '{name}' is defined twice")
    if file.automatic is not None and "auto" in _automatic_targets(file):
        yield Finding("error", "routing.automatic", "the role auto cannot lead to itself")


def unresolved_names(file: RoutingFile, data: Any) -> Iterator[Finding]:
    """Names that lead nowhere, perhaps only for now."""
    if file.fallback and not any(route.enabled for route in file.routes):
        yield Finding("error", "routing.fallback", "fallback needs at least one enabled provider")
    for alias, target in file.aliases.items():
        if target not in file.aliases and not leads_somewhere(file, target):
            where = f"routing.aliases.{alias}"
            yield _nowhere(file, where, f"the alias '{alias}' leads to '{target}'", target)
    yield from _role_names(file, _places(data, "roles", "role_id"))
    yield from _canaries(file)
    for target in _automatic_targets(file):
        if target not in ("auto", "default") and not leads_somewhere(file, target):
            yield _nowhere(file, "routing.automatic", f"a rule leads to '{target}'", target)
    known = {*(route.name for route in file.routes), *role_names(file)}
    for budget in file.budgets:
        if budget.name not in known:
            subject = f"a budget is for '{budget.name}'"
            yield _nowhere(file, "routing.budgets", subject, budget.name)
    for policy in file.tool_policies:
        for name in policy.routes or ():
            if not leads_somewhere(file, name):
                subject = f"the tool policy '{policy.name}' is for '{name}'"
                yield _nowhere(file, "routing.tool_policies", subject, name)


def _canaries(file: RoutingFile) -> Iterator[Finding]:
    """Entries that give a share to an entry that does not exist, or to themselves."""
    names = {route.name for route in file.routes}
    for fields in file.providers:
        other = fields.canary.provider if fields.canary is not None else fields.name
        if fields.canary is not None and (other not in names or other == fields.name):
            subject = f"the entry '{fields.name}' gives a share to '{other}'"
            yield _nowhere(file, "routing.direct.providers", subject, other)


def names_of(file: RoutingFile) -> set[str]:
    """Every name that a request may use, except NAME/MODEL."""
    names = {text for one in file.routes for text in (one.name, one.model, one.served_model)}
    return {*filter(None, names), *file.aliases, *role_names(file)}


def role_names(file: RoutingFile) -> tuple[str, ...]:
    """The roles of the file and the built-in ones."""
    own = [role.role_id for role in file.roles]
    return (*own, *(name for name in BUILT_IN_ROLES if name not in own))


def leads_somewhere(file: RoutingFile, name: str) -> bool:
    """Whether a name means something: an entry, a model, an alias, a role, NAME/MODEL."""
    provider = next((one for one in file.routes if one.name == name.partition("/")[0]), None)
    many = provider is not None and provider.model is None
    return name in names_of(file) or (many and "/" in name)


def _providers(file: RoutingFile) -> Iterator[Finding]:
    seen: set[str] = set()
    for route in file.routes:
        if route.name in seen:
            where = "routing.direct.providers"
            yield Finding("error", where, f"the name '{route.name}' is used twice")
        seen.add(route.name)
    default = file.default_provider
    if default is not None and default not in seen:
        where = "routing.direct.default_provider"
        yield Finding("error", where, f"default_provider '{default}' is not among the providers",
                      f"use one of {', '.join(sorted(seen))}" if seen else None)  # fmt: skip


def _modes(file: RoutingFile, data: Any) -> Iterator[Finding]:
    section = {"plano_proxy": "proxy", "plano_embedded": "embedded"}.get(file.mode)
    routing = data.get("routing") if isinstance(data, Mapping) else None
    if section and not (isinstance(routing, Mapping) and routing.get(section) is not None):
        yield Finding("error", f"routing.{section}", f"mode {file.mode} needs routing.{section}")


def _alias_conflicts(file: RoutingFile) -> Iterator[Finding]:
    own = {*(route.name for route in file.routes), *(role.role_id for role in file.roles)}
    for alias, target in file.aliases.items():
        where = f"routing.aliases.{alias}"
        if alias in own:
            yield Finding("error", where, f"the alias '{alias}' is a provider or a role as well")
        elif target in file.aliases:
            message = f"the alias '{alias}' leads to the alias '{target}'"
            yield Finding("error", where, message, f"{alias}: {file.aliases[target]}")


def _nowhere(file: RoutingFile, where: str, subject: str, name: str) -> Finding:
    near = nearest(name, sorted(names_of(file)))
    hint = f"did you mean {near[0]}?" if near else "modelscan route list"
    return Finding("error", where, f"{subject}, which does not exist", hint)


def _places(data: Any, key: str, identifier: str) -> Callable[[str], str]:
    """The place of an item of a list by its name: items with errors are counted too."""
    routing = data.get("routing") if isinstance(data, Mapping) else None
    items = routing.get(key) if isinstance(routing, Mapping) else None
    places: dict[str, str] = {}
    for at, one in enumerate(items if isinstance(items, list) else ()):
        if isinstance(one, Mapping):
            places[str(one.get(identifier))] = f"routing.{key}[{at}]"
    return lambda name: places.get(name, f"routing.{key}")


def _role_conflicts(file: RoutingFile, place: Callable[[str], str]) -> Iterator[Finding]:
    providers = {route.name for route in file.routes}
    seen: set[str] = set()
    for role in file.roles:
        where, name = place(role.role_id), role.role_id
        if name in seen:
            yield Finding("error", where, f"the role '{name}' is defined twice")
        if name in providers:
            message = f"'{name}' is a role and a provider"
            yield Finding("error", where, message, "rename one of them")
        seen.add(name)
        for other_name in _fallbacks(role):
            other = file.role(other_name)
            subject = f"the role '{name}' falls back to '{other_name}'"
            if other_name == name:
                yield Finding("error", where, f"the role '{name}' falls back to itself")
            elif other is not None and other.operation != role.operation:
                message = f"{subject}, whose operation is {other.operation}, not {role.operation}"
                yield Finding("error", where, message)


def _role_names(file: RoutingFile, place: Callable[[str], str]) -> Iterator[Finding]:
    providers = {route.name for route in file.routes}
    for role in file.roles:
        where, name = f"{place(role.role_id)}.routing_policy", role.role_id
        for one in (role.routing_policy and role.routing_policy.providers) or ():
            if one not in providers:
                subject = f"the role '{name}' names the provider '{one}'"
                yield _nowhere(file, f"{where}.providers", subject, one)
        for one in _fallbacks(role):
            if one not in role_names(file):
                subject = f"the role '{name}' falls back to '{one}'"
                yield _nowhere(file, f"{where}.fallback_roles", subject, one)


def _fallbacks(role: RoleFields) -> Sequence[str]:
    return (role.routing_policy and role.routing_policy.fallback_roles) or ()


def _automatic_targets(file: RoutingFile) -> list[str]:
    automatic = file.automatic
    targets = [rule.role for rule in (automatic and automatic.rules) or ()]
    return targets + ([automatic.otherwise] if automatic and automatic.otherwise else [])
