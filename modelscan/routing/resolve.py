"""Choose the routing entry for a name, with reasons. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelscan.core.nearest import nearest
from modelscan.core.route import Route
from modelscan.routing.schema import RoutingFile

_OFFERED = 3


@dataclass(frozen=True, slots=True)
class RouteState:
    """What an entry's deployment does. ``ends``: it does not answer, and waiting will not help."""

    state: str
    reason: str | None = None
    ends: bool = False


States = Mapping[
    str, RouteState
]  # by the entry's name; none for a server that modelscan did not start
NO_STATES: States = {}


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen entry. ``how``: name, model, served_model, short_name, default, fallback or none.

    ``nearest``: similar names, or the entries that could answer instead; ``hint``: a command.
    """

    route: Route | None
    how: str
    reasons: tuple[str, ...]
    nearest: tuple[str, ...] = ()
    hint: str | None = None


def resolve(file: RoutingFile, name: str | None, states: States = NO_STATES) -> Resolution:
    """The entry for a provider name or model id; without a name, the default provider.

    Order: provider name, model id, served model, last part of a model id. Entries that are disabled
    or whose deployment ended never match. A name without a match resolves to None, with the nearest
    names.
    """
    if not name:
        return _default(file, states)
    for how, matches in _candidates(file, name):
        usable = [route for route in matches if _answers(route, states)]
        if usable:
            entries = "entry" if len(usable) == 1 else "entries"
            reason = f"{how.replace('_', ' ')} '{name}' matches {len(usable)} enabled {entries}"
            return Resolution(usable[0], how, (reason,))
        if matches:
            return _instead(file, matches[0], f"'{matches[0].name}'", states)
    names = sorted({text for r in file.routes for text in (r.name, r.model) if text})
    near = tuple(nearest(name, names, limit=_OFFERED))
    hint = f"modelscan route resolve {near[0]}" if near else None
    return Resolution(None, "none", (f"no entry is named '{name}' or serves it",), near, hint)


def _default(file: RoutingFile, states: States) -> Resolution:
    if file.default_provider is None:
        return Resolution(None, "none", ("no default_provider is set",))
    route = file.route(file.default_provider)
    label = f"the default_provider '{file.default_provider}'"
    if route is None:
        return Resolution(None, "none", (f"{label} is missing",), hint="modelscan route list")
    if not _answers(route, states):
        return _instead(file, route, label, states)
    return Resolution(route, "default", (f"default_provider is '{route.name}'",))


def _answers(route: Route, states: States) -> bool:
    state = states.get(route.name)
    return route.enabled and not (state is not None and state.ends)


def _instead(file: RoutingFile, route: Route, label: str, states: States) -> Resolution:
    """The answer for an entry that cannot be used: with ``fallback``, another one."""
    why = f"{label} {_why(route, states)}"
    others = [other for other in file.routes if _answers(other, states)]
    if file.fallback and others:
        reason = f"fallback: '{others[0].name}' is the first entry that can answer"
        return Resolution(others[0], "fallback", (why, reason))
    names = tuple(other.name for other in others[:_OFFERED])
    offered = (f"entries that can answer: {', '.join(names)}",) if names else ()
    startable = route.name in states and states[route.name].state in ("stopped", "failed")
    start = f"modelscan start {route.deployment}" if startable else None
    other_name = f"modelscan route resolve {names[0]}" if names else None
    return Resolution(None, "none", (why, *offered), names, start or other_name)


def _why(route: Route, states: States) -> str:
    state = states.get(route.name)
    if state is None or not state.ends:
        return "is disabled"
    because = f": {state.reason}" if state.reason else ""
    return f"cannot answer, its deployment is {state.state}{because}"


def _candidates(file: RoutingFile, name: str) -> Sequence[tuple[str, list[Route]]]:
    short = [r for r in file.routes if r.model.rpartition("/")[2].lower() == name.lower()]
    return [
        ("name", [r for r in file.routes if r.name == name]),
        ("model", [r for r in file.routes if r.model.lower() == name.lower()]),
        ("served_model", [r for r in file.routes if r.served_model == name]),
        ("short_name", short if len({r.model for r in short}) == 1 else []),
    ]
