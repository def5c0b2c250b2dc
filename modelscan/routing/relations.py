"""Checks of what the parts of a routing file say about each other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from modelscan.core.nearest import nearest
from modelscan.routing.finding import Finding

if TYPE_CHECKING:
    from modelscan.routing.parsed import RoutingFile

BUILT_IN_ROLES = ("auto", "fast")


def relations(file: RoutingFile, data: Any) -> Iterator[Finding]:
    """Names that occur twice or lead nowhere, and parts that a mode needs."""
    yield from _providers(file)
    yield from _modes(file, data)
    yield from _aliases(file)
    yield from _roles(file, _places(data, "roles", "role_id"))
    yield from _automatic(file)
    yield from _budgets(file)


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
    if file.fallback and not any(route.enabled for route in file.routes):
        yield Finding("error", "routing.fallback", "fallback needs at least one enabled provider")
    section = {"plano_proxy": "proxy", "plano_embedded": "embedded"}.get(file.mode)
    routing = data.get("routing") if isinstance(data, Mapping) else None
    if section and not (isinstance(routing, Mapping) and routing.get(section) is not None):
        yield Finding("error", f"routing.{section}", f"mode {file.mode} needs routing.{section}")


def _aliases(file: RoutingFile) -> Iterator[Finding]:
    own = {*(route.name for route in file.routes), *role_names(file)}
    for alias, target in file.aliases.items():
        where = f"routing.aliases.{alias}"
        if alias in own:
            yield Finding("error", where, f"the alias '{alias}' is a provider or a role as well")
        elif target in file.aliases:
            yield Finding("error", where, f"the alias '{alias}' leads to the alias '{target}'",
                          f"{alias}: {file.aliases[target]}")  # fmt: skip
        elif not leads_somewhere(file, target):
            yield _nowhere(file, where, f"the alias '{alias}' leads to '{target}'", target)


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


def _roles(file: RoutingFile, place: Callable[[str], str]) -> Iterator[Finding]:
    providers = {route.name for route in file.routes}
    seen: set[str] = set()
    for role in file.roles:
        where, name = place(role.role_id), role.role_id
        if name in seen:
            yield Finding("error", where, f"the role '{name}' is defined twice")
        if name in providers:
            yield Finding("error", where, f"'{name}' is a role and a provider",
                          "rename one of them")  # fmt: skip
        seen.add(name)
        selection = role.routing_policy
        for one in (selection and selection.providers) or ():
            if one not in providers:
                place_of = f"{where}.routing_policy.providers"
                yield _nowhere(file, place_of, f"the role '{name}' names the provider '{one}'", one)
        yield from _fallbacks(file, name, where)


def _fallbacks(file: RoutingFile, name: str, where: str) -> Iterator[Finding]:
    role = file.role(name)
    selection = role.routing_policy if role else None
    place = f"{where}.routing_policy.fallback_roles"
    for other_name in (selection and selection.fallback_roles) or ():
        other = file.role(other_name)
        subject = f"the role '{name}' falls back to '{other_name}'"
        if other is None and other_name not in BUILT_IN_ROLES:
            yield _nowhere(file, place, subject, other_name)
        elif role and other is not None and other.operation != role.operation:
            yield Finding("error", place, f"{subject}, whose operation is {other.operation}, not "
                          f"{role.operation}")  # fmt: skip
        elif other_name == name:
            yield Finding("error", place, f"the role '{name}' falls back to itself")


def _automatic(file: RoutingFile) -> Iterator[Finding]:
    automatic = file.automatic
    targets = [rule.role for rule in (automatic and automatic.rules) or ()]
    targets += [automatic.otherwise] if automatic and automatic.otherwise else []
    for target in targets:
        if target == "auto":
            yield Finding("error", "routing.automatic", "the role auto cannot lead to itself")
        elif target != "default" and not leads_somewhere(file, target):
            yield _nowhere(file, "routing.automatic", f"a rule leads to '{target}'", target)


def _budgets(file: RoutingFile) -> Iterator[Finding]:
    known = {*(route.name for route in file.routes), *role_names(file)}
    for budget in file.budgets:
        if budget.name not in known:
            subject = f"a budget is for '{budget.name}'"
            yield _nowhere(file, "routing.budgets", subject, budget.name)
