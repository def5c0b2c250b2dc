"""The results of the route commands: typed values, each with one JSON form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.route import Route
from modelscan.routing.file import check, load, undo
from modelscan.routing.history import Revision, revisions
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.presets import PRESETS, Preset
from modelscan.routing.probe import RouteProbe
from modelscan.routing.resolve import NO_STATES, States, resolve

# The states of the deployments behind the entries; it reads what runs.
StatesOf = Callable[[RoutingFile], States]
AddReported = Callable[[RoutingFile, StatesOf], tuple[RoutingFile, States]]


def no_states(_: RoutingFile) -> States:
    """For callers that only read the file."""
    return NO_STATES


@dataclass(frozen=True, slots=True)
class RouteRow(Route):
    """An entry of the routing file; ``default`` is true for the default provider.

    ``state`` and ``reason`` are its deployment's; None for a server that modelscan did not start.
    """

    default: bool = False
    state: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RouteList:
    """The routing file and its entries in order; ``warnings`` are the messages of its findings."""

    routing_file: Path
    exists: bool
    mode: str
    default_provider: str | None
    routes: tuple[RouteRow, ...]
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from modelscan.core.html import table

        columns = ("name", "type", "model", "base_url", "context_tokens", "enabled", "default")
        return table(columns, [[getattr(r, c) for c in columns] for r in self.routes])


@dataclass(frozen=True, slots=True)
class RouteShown:
    """One entry of the routing file."""

    route: RouteRow
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteResolved:
    """The entry that serves ``query`` (None: no name given), how it was chosen, and why.

    ``hint``: a command that helps where there is none.
    """

    query: str | None
    how: str
    reasons: tuple[str, ...]
    nearest: tuple[str, ...]
    route: RouteRow | None
    hint: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingFileChecked:
    """The findings about a routing file. ``valid``: no errors; ``routes``: number of entries."""

    routing_file: Path
    exists: bool
    valid: bool
    routes: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RouteTested:
    """The result of a real request to an entry.

    ``status`` is the HTTP status; unknown fields are None.
    """

    route: Route
    ok: bool
    endpoint: str
    status: int | None
    models: tuple[str, ...] | None
    answer: str | None
    elapsed_s: float | None
    detail: str | None
    warnings: tuple[str, ...] = ()


def route_tested(route: Route, probe: RouteProbe, warnings: tuple[str, ...] = ()) -> RouteTested:
    """The result of a probe together with its route and warnings."""
    values = {field.name: getattr(probe, field.name) for field in fields(probe)}
    return RouteTested(route=route, **values, warnings=warnings)


@dataclass(frozen=True, slots=True)
class RouteAlias:
    """Another name of an entry, a model or a role."""

    name: str
    target: str


@dataclass(frozen=True, slots=True)
class RouteAliases:
    """The aliases of the routing file."""

    aliases: tuple[RouteAlias, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutePresets:
    """The presets of hosted providers."""

    presets: tuple[Preset, ...]


@dataclass(frozen=True, slots=True)
class RouteRevisions:
    """The kept revisions, the newest first."""

    routing_file: Path
    revisions: tuple[Revision, ...]


@dataclass(frozen=True, slots=True)
class RoutesExported:
    """The routing file in another format, as text; ``warnings``: what is left out."""

    format: str
    text: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteUndone:
    """The revision that was restored; ``warnings``: the findings about the file as it is now."""

    routing_file: Path
    revision: Revision
    warnings: tuple[str, ...] = ()


def list_aliases(path: Path) -> RouteAliases:
    """The aliases. Raises UsageError if the file is not valid YAML."""
    file = load(path)
    rows = tuple(RouteAlias(name, target) for name, target in file.aliases.items())
    return RouteAliases(rows, _messages(file))


def list_presets() -> RoutePresets:
    """Every preset."""
    return RoutePresets(tuple(PRESETS.values()))


def list_revisions(path: Path) -> RouteRevisions:
    """The kept revisions of the routing file."""
    return RouteRevisions(path, tuple(reversed(revisions(path))))


def undo_change(path: Path, number: int | None) -> RouteUndone:
    """Restore a revision (None: the last). Raises UsageError where there is none."""
    restored = undo(path, number)
    return RouteUndone(path, restored, _messages(check(path)))


def list_routes(path: Path, states_of: StatesOf = no_states) -> RouteList:
    """List all entries. Raises UsageError if the file is not valid YAML."""
    states = states_of(load(path))
    file = load(path)  # again: the entry of a deployment that ended was disabled meanwhile
    routes = tuple(_entry(route, file, states) for route in file.routes)
    return RouteList(path, file.exists, file.mode, file.default_provider, routes, _messages(file))


def find_route(path: Path, name: str) -> tuple[Route, tuple[str, ...]]:
    """The entry with that name, enabled or not, else the entry that the name resolves to.

    Also returns the messages of the file's findings. Raises UsageError with the nearest names if
    there is no match.
    """
    file = load(path)
    return _find(file, name), _messages(file)


def show_route(path: Path, name: str, states_of: StatesOf = no_states) -> RouteShown:
    """Like ``find_route``, as a RouteRow."""
    file = load(path)
    return RouteShown(_entry(_find(file, name), file, states_of(file)), _messages(file))


def _find(file: RoutingFile, name: str) -> Route:
    route = file.route(name)
    if route is not None:
        return route
    resolution = resolve(file, name)
    if resolution.route is None:
        raise _unknown(name, resolution.nearest)
    return resolution.route


def no_nodes(file: RoutingFile, states_of: StatesOf) -> tuple[RoutingFile, States]:
    """The file as it is written."""
    return file, states_of(file)


def resolve_route(
    path: Path, name: str | None, states_of: StatesOf = no_states, add: AddReported = no_nodes
) -> RouteResolved:
    """The entry that would serve a name; None: the default. ``add``: the services of nodes."""
    file, states = add(load(path), states_of)
    answer = resolve(file, name, states)
    route = _entry(answer.route, file, states) if answer.route else None
    return RouteResolved(
        name, answer.how, answer.reasons, answer.nearest, route, answer.hint, _messages(file)
    )


def check_routing_file(path: Path) -> tuple[RoutingFile, RoutingFileChecked]:
    """The routing file, and the findings about its format, URLs, names and keys."""
    file = check(path)
    result = RoutingFileChecked(
        path, path.exists(), file.valid, len(file.routes), tuple(file.findings)
    )
    return file, result


def _entry(route: Route, file: RoutingFile, states: States) -> RouteRow:
    values: dict[str, Any] = {field.name: getattr(route, field.name) for field in fields(Route)}
    state = states.get(route.name)
    return RouteRow(
        **values,
        default=route.name == file.default_provider,
        state=None if state is None else state.state,
        reason=None if state is None else state.reason,
    )


def _messages(file: RoutingFile) -> tuple[str, ...]:
    return tuple(finding.message for finding in file.findings)


def _unknown(name: str, nearest: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"the routing file has no entry '{name}'",
        hint=f"modelscan route show {nearest[0]}" if nearest else "modelscan route list",
        code="unknown_route",
        details={"nearest": list(nearest)},
    )
