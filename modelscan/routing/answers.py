"""What the routing file answers, as values with one JSON form."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing.file import check, load
from modelscan.routing.probe import RouteProbe
from modelscan.routing.resolve import resolve
from modelscan.routing.schema import Finding, RoutingFile


@dataclass(frozen=True, slots=True)
class RouteEntry(Route):
    """An entry of the file; ``default`` is true for the default provider."""

    default: bool = False


@dataclass(frozen=True, slots=True)
class RouteList:
    """The file and its entries in order; ``warnings`` are its faults."""

    routing_file: Path
    exists: bool
    mode: str
    default_provider: str | None
    routes: tuple[RouteEntry, ...]
    warnings: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """A table for notebooks."""
        from modelscan.core.html import table

        columns = ("name", "type", "model", "base_url", "context_tokens", "enabled", "default")
        return table(columns, [[getattr(r, c) for c in columns] for r in self.routes])


@dataclass(frozen=True, slots=True)
class RouteShown:
    """One entry."""

    route: RouteEntry
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteResolved:
    """Which entry answers for ``query`` (None: for no name), how it was chosen, and why."""

    query: str | None
    how: str
    reasons: tuple[str, ...]
    nearest: tuple[str, ...]
    route: RouteEntry | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RoutingFileChecked:
    """``valid`` means no errors; ``routes`` counts the entries."""

    routing_file: Path
    exists: bool
    valid: bool
    routes: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class RouteTested:
    """A real request to an entry. ``status`` is HTTP's; unknown parts are None."""

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
    """The result of a probe as an answer."""
    values = {field.name: getattr(probe, field.name) for field in fields(probe)}
    return RouteTested(route=route, **values, warnings=warnings)


def list_routes(path: Path) -> RouteList:
    """Every entry; raises UsageError where the file is not YAML."""
    file = load(path)
    routes = tuple(_entry(route, file) for route in file.routes)
    return RouteList(path, file.exists, file.mode, file.default_provider, routes, _faults(file))


def find_route(path: Path, name: str) -> tuple[Route, tuple[str, ...]]:
    """The entry of that name, enabled or not, else the one that the name resolves to; the file's
    faults. Raises UsageError with the nearest names where there is none.
    """
    file = load(path)
    return _find(file, name), _faults(file)


def show_route(path: Path, name: str) -> RouteShown:
    """As ``find_route``, as an entry of the file."""
    file = load(path)
    return RouteShown(_entry(_find(file, name), file), _faults(file))


def _find(file: RoutingFile, name: str) -> Route:
    route = file.route(name)
    if route is not None:
        return route
    answer = resolve(file, name)
    if answer.route is None:
        raise _unknown(name, answer.nearest)
    return answer.route


def resolve_route(path: Path, name: str | None) -> RouteResolved:
    """Which entry would answer for a name; None asks for the default. Sends nothing."""
    file = load(path)
    answer = resolve(file, name)
    route = _entry(answer.route, file) if answer.route else None
    reasons, nearest = tuple(answer.reasons), tuple(answer.nearest)
    return RouteResolved(name, answer.how, reasons, nearest, route, _faults(file))


def check_routing_file(path: Path) -> tuple[RoutingFile, RoutingFileChecked]:
    """The file, and what is wrong with its format, URLs, names and keys."""
    file = check(path)
    answer = RoutingFileChecked(
        path, path.exists(), not file.errors, len(file.routes), tuple(file.findings)
    )
    return file, answer


def _entry(route: Route, file: RoutingFile) -> RouteEntry:
    values: dict[str, Any] = {field.name: getattr(route, field.name) for field in fields(Route)}
    return RouteEntry(**values, default=route.name == file.default_provider)


def _faults(file: RoutingFile) -> tuple[str, ...]:
    return tuple(finding.message for finding in file.findings)


def _unknown(name: str, nearest: tuple[str, ...]) -> UsageError:
    return UsageError(
        f"the routing file has no entry '{name}'",
        hint=f"modelscan route show {nearest[0]}" if nearest else "modelscan route list",
        code="unknown_route",
        details={"nearest": list(nearest)},
    )
