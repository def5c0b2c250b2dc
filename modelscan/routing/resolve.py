"""Choose the routing entry for a name, with reasons. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from modelscan.core.nearest import nearest
from modelscan.core.route import Route
from modelscan.routing.schema import RoutingFile


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen entry. ``how``: name, model, served_model, short_name, default or none."""

    route: Route | None
    how: str
    reasons: tuple[str, ...]
    nearest: tuple[str, ...] = ()


def resolve(file: RoutingFile, name: str | None) -> Resolution:
    """The entry for a provider name or model id; without a name, the default provider.

    Order: provider name, model id, served model, last part of a model id. Disabled entries never
    match. A name without a match resolves to None, with the nearest names.
    """
    if not name:
        return _default(file)
    for how, matches in _candidates(file, name):
        usable = [route for route in matches if route.enabled]
        if usable:
            entries = "entry" if len(usable) == 1 else "entries"
            reason = f"{how.replace('_', ' ')} '{name}' matches {len(usable)} enabled {entries}"
            return Resolution(usable[0], how, (reason,))
        if matches:
            return Resolution(None, "none", (f"'{matches[0].name}' exists but is disabled",))
    names = sorted({text for r in file.routes for text in (r.name, r.model) if text})
    near = tuple(nearest(name, names, limit=3))
    return Resolution(None, "none", (f"no entry is named '{name}' or serves it",), near)


def _default(file: RoutingFile) -> Resolution:
    if file.default_provider is None:
        return Resolution(None, "none", ("no default_provider is set",))
    route = file.route(file.default_provider)
    if route is None or not route.enabled:
        reason = f"the default_provider '{file.default_provider}' is missing or disabled"
        return Resolution(None, "none", (reason,))
    return Resolution(route, "default", (f"default_provider is '{route.name}'",))


def _candidates(file: RoutingFile, name: str) -> list[tuple[str, list[Route]]]:
    short = [r for r in file.routes if r.model.rpartition("/")[2].lower() == name.lower()]
    return [
        ("name", [r for r in file.routes if r.name == name]),
        ("model", [r for r in file.routes if r.model.lower() == name.lower()]),
        ("served_model", [r for r in file.routes if r.served_model == name]),
        ("short_name", short if len({r.model for r in short}) == 1 else []),
    ]
