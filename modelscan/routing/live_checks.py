"""Checks of a routing file against its surroundings: are the keys set, is each model served?"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from modelscan.core.errors import ModelscanError
from modelscan.core.finding import Finding
from modelscan.core.route import Route
from modelscan.net.address import stays_here
from modelscan.routing.keys import read_key
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.probe import RouteProbe, probe_route

_TIMEOUT_S = 2.0
_AT_ONCE = 8


def key_findings(file: RoutingFile) -> Iterator[Finding]:
    """A warning for each enabled entry whose key is missing here: the file itself is right."""
    for index, route in enumerate(file.routes):
        if route.enabled:
            try:
                read_key(route)
            except ModelscanError as error:
                where = f"routing.direct.providers[{index}].api_key"
                yield Finding("warning", where, f"{route.name}: {error.message}", error.hint)


def missing_key(file: RoutingFile, name: str | None) -> str | None:
    """Why requests to an entry would be refused for its key; None: it has one, or needs none."""
    route = file.route(name) if name else None
    try:
        if route is not None:
            read_key(route)
    except ModelscanError as error:
        return f"{name} gets no requests: {error.message}"
    return None


def served_findings(file: RoutingFile, *, everywhere: bool, offline: bool) -> Iterator[Finding]:
    """An error for each entry whose server answers and does not list its model.

    Without ``everywhere`` only servers on this machine get a request, and one that does not answer
    is no finding: it may be started later.
    """
    chosen = [
        (index, route)
        for index, route in enumerate(file.routes)
        if route.enabled and (stays_here(route.base_url) or (everywhere and not offline))
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        probes = pool.map(lambda one: _probe(one[1]), chosen)
        for (index, route), probe in zip(chosen, probes, strict=True):
            finding = None if probe is None else _finding(index, route, probe, everywhere)
            if finding is not None:
                yield finding


def _probe(route: Route) -> RouteProbe | None:
    try:
        return probe_route(route, chat=False, timeout_s=_TIMEOUT_S, offline=False)
    except ModelscanError:
        return None  # its key is missing, which is a finding of its own


def _finding(index: int, route: Route, probe: RouteProbe, everywhere: bool) -> Finding | None:
    where = f"routing.direct.providers[{index}]"
    if probe.ok:
        return None
    if probe.models is not None:
        served = ", ".join(probe.models[:5]) or "none"
        message = f"{route.name}: its server does not serve '{route.sent_model}'"
        return Finding("error", f"{where}.model", message, f"it serves {served}")
    if everywhere:
        message = f"{route.name}: {probe.detail}"
        return Finding(
            "warning", f"{where}.base_url", message, f"modelscan route test {route.name}"
        )
    return None
