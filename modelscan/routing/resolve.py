"""Choose the routing entry for a name, with reasons. Pure.

The order: provider, model, served model, ``NAME/MODEL``, alias, role, the last part of a model's
id. Nothing is changed by a question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from modelscan.core.nearest import nearest
from modelscan.core.route import Route
from modelscan.routing.built_in import AUTO, role_named
from modelscan.routing.compile import fallback_chain
from modelscan.routing.facts import known_entries
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.relations import names_of
from modelscan.routing.role_format import RoleFields
from modelscan.routing.select import role_pool, strategy_of
from modelscan.routing.world import ProviderObservation, World

_OFFERED = 3


@dataclass(frozen=True, slots=True)
class RouteState:
    """What an entry's deployment, or its node, does. ``ends``: it does not answer, and waiting
    will not help. Of a node, ``reason`` says everything."""

    state: str
    reason: str | None = None
    ends: bool = False
    of: Literal["deployment", "node"] = "deployment"


States = Mapping[
    str, RouteState
]  # by the entry's name; none for a server that modelscan did not start
NO_STATES: States = {}


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen entry. ``how``: name, model, served_model, many_models, alias, role, short_name,
    default, fallback or none.

    ``nearest``: similar names, or the entries that could answer instead; ``hint``: a command.
    ``role``: the role that chose the entry.
    """

    route: Route | None
    how: str
    reasons: tuple[str, ...]
    nearest: tuple[str, ...] = ()
    hint: str | None = None
    role: str | None = None


def world_of(states: States, world: World | None = None) -> World:
    """The observations together with what the deployments do."""
    world = world or World()
    seen = dict(world.observations)
    for name, state in states.items():
        known = seen.get(name, ProviderObservation())
        own = state.state if state.of == "deployment" else None
        seen[name] = replace(known, state=own, reason=state.reason, ends=state.ends)
    return replace(world, observations=seen)


def resolve(
    file: RoutingFile, name: str | None, states: States = NO_STATES, world: World | None = None
) -> Resolution:
    """The entry for a name; without a name, the default provider.

    Entries that are disabled or whose deployment ended never match. A name without a match resolves
    to None, with the nearest names.
    """
    if not name:
        return _default(file, states)
    exact = _exact(file, name, states, written=True)
    if exact is not None:
        return exact
    target = file.aliases.get(name)
    if target is not None:
        answer = resolve(file, target, states, world)
        reason = f"alias '{name}' means '{target}'"
        return replace(answer, how="alias" if answer.route else "none",
                       reasons=(reason, *answer.reasons))  # fmt: skip
    role = role_named(file, name)
    if role is not None:
        return _role(file, role, states, world)
    short = _service(file, name, _short(file, file.written, name), states)
    reported = short or _exact(file, name, states, written=False)
    far = reported or _service(file, name, _short(file, file.routes, name), states)
    return far or _unknown(file, name)


def _exact(file: RoutingFile, name: str, states: States, *, written: bool) -> Resolution | None:
    """By a whole name; ``written``: one that the file has, else one that only nodes report."""
    own = {route.name for route in file.written}
    for ways in _candidates(file, name):
        if written is not any(route.name in own for route in ways[1]):
            continue
        answer = _service(file, name, ways, states)
        if answer is not None:
            return answer
    provider, slash, model = name.partition("/")
    many = file.route(provider) if slash and model else None
    if many is None or many.model is not None:
        return None
    answer = _service(file, name, ("many_models", [many]), states)
    sent = answer and answer.route and replace(answer.route, model=model)
    return replace(answer, route=sent) if answer and sent else answer


def _service(
    file: RoutingFile, name: str, way: tuple[str, list[Route]], states: States
) -> Resolution | None:
    """The first entry of a way that can answer; None: the way has no entries."""
    how, matches = way
    usable = [route for route in matches if _answers(route, states)]
    if usable:
        entries = "entry" if len(usable) == 1 else "entries"
        reason = f"{how.replace('_', ' ')} '{name}' matches {len(usable)} enabled {entries}"
        return Resolution(usable[0], how, (reason,))
    return _instead(file, matches[0], f"'{matches[0].name}'", states) if matches else None


def _unknown(file: RoutingFile, name: str) -> Resolution:
    near = tuple(nearest(name, sorted(names_of(file)), limit=_OFFERED))
    hint = f"modelscan route resolve {near[0]}" if near else None
    return Resolution(None, "none", (f"no entry is named '{name}' or serves it",), near, hint)


def _role(file: RoutingFile, role: RoleFields, states: States, world: World | None) -> Resolution:
    """The entry that a role chooses, or one of its fallback roles."""
    if role is AUTO:
        answer = _default(file, states)
        reason = "the role 'auto' chooses for each request; without one, the default is meant"
        return replace(answer, reasons=(reason, *answer.reasons), role="auto")
    entries = tuple(known_entries(file.routes, file.providers, world_of(states, world)))
    reasons: list[str] = []
    for name in (role.role_id, *fallback_chain(file, role)):
        one = role_named(file, name) or role
        pool = role_pool(entries, one)
        reasons += [refused.reason for refused in pool.refused]
        if pool.choices:
            first = pool.choices[0]
            count = f"{len(pool.choices)} of {len(entries)} entries pass"
            reasons.append(f"role '{name}': {count}; {strategy_of(one)} chooses {first.entry.name}")
            how = "role" if one is role else "fallback"
            return Resolution(first.entry.route, how, tuple(reasons), role=name)
        reasons.append(f"role '{name}': no entry passes")
    hint = f"modelscan route explain {role.role_id}"
    return Resolution(None, "none", tuple(reasons), hint=hint, role=role.role_id)


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
    if state.of == "node":
        return f"gets no requests: {state.reason}"
    because = f": {state.reason}" if state.reason else ""
    return f"cannot answer, its deployment is {state.state}{because}"


def _candidates(file: RoutingFile, name: str) -> Sequence[tuple[str, list[Route]]]:
    def matching(test: Callable[[Route], bool]) -> list[Route]:
        return [route for route in file.routes if test(route)]

    return [
        ("name", matching(lambda r: r.name == name)),
        ("model", matching(lambda r: r.model is not None and r.model.lower() == name.lower())),
        ("served_model", matching(lambda r: r.served_model == name)),
    ]


def _short(file: RoutingFile, routes: Sequence[Route], name: str) -> tuple[str, list[Route]]:
    """The entries of the one model of these routes whose id ends in this name."""
    ends = name.lower()
    models = {r.model for r in routes if r.model and r.model.rpartition("/")[2].lower() == ends}
    own = [route for route in file.routes if route.model in models] if len(models) == 1 else []
    return ("short_name", own)
