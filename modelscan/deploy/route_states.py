"""What the deployments behind the routing entries do: for ``route list|resolve|validate``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import State
from modelscan.core.finding import Finding
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.resolve import RouteState, States, resolve

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.route import Route

NOT_RECORDED = RouteState("unknown", "its deployment is not recorded on this machine")


def route_states(file: RoutingFile, deployments: Sequence[Deployment]) -> States:
    """The state of each entry with a deployment, by the entry's name."""
    by_name = {deployment.name: deployment for deployment in deployments}
    states: dict[str, RouteState] = {}
    for route in file.routes:
        if route.deployment is not None:
            deployment = by_name.get(route.deployment)
            states[route.name] = NOT_RECORDED if deployment is None else _state(deployment)
    return states


def is_asleep(route: Route, deployment: Deployment) -> bool:
    """Whether requests to an entry wait for its deployment: asleep, or starting already.

    An entry that its owner disabled wakes nothing; modelscan itself disables that of a sleeper, and
    enables it a moment after it runs.
    """
    if deployment.state is State.RUNNING:
        return not route.enabled and not deployment.routed
    if not route.enabled and (deployment.routed or not deployment.asleep):
        return False
    return deployment.asleep or deployment.state is State.STARTING


def _state(deployment: Deployment) -> RouteState:
    if deployment.asleep:
        return RouteState("asleep", "a request through modelscan serve starts it", ends=True)
    state = deployment.state.value
    sick = deployment.health in ("unhealthy", "unknown") and state == "running"
    reason = deployment.reason or (deployment.health if sick else None)
    return RouteState(state, reason, ends=state in ("stopped", "failed", "stopping"))


def route_findings(file: RoutingFile, deployments: Sequence[Deployment]) -> tuple[Finding, ...]:
    """A warning for each entry whose deployment does not run or was changed, and for a default
    that cannot answer."""
    states = route_states(file, deployments)
    drifted = {d.name for d in deployments if d.drift}
    return (*_entries(file, states, drifted), *_default(file, states))


def _entries(file: RoutingFile, states: States, drifted: set[str]) -> Iterator[Finding]:
    for index, route in enumerate(file.routes):
        state = states.get(route.name)
        problem = None if state is None else _problem(route, state, drifted)
        if problem is not None:
            where = f"routing.direct.providers[{index}]"
            yield Finding("warning", where, f"{route.name}: {problem}", _hint(route, state))


def _problem(route: Route, state: RouteState, drifted: set[str]) -> str | None:
    if state is NOT_RECORDED:
        return f"its deployment '{route.deployment}' is not recorded on this machine"
    quiet = state.state == "asleep" or (state.state == "stopped" and state.reason is None)
    if not route.enabled and quiet and route.deployment not in drifted:
        return None  # it does not run and is disabled, as it should be
    if state.state != "running" or route.deployment in drifted or state.reason == "unknown":
        because = f": {state.reason}" if state.reason else ""
        return f"its deployment is {state.state}{because}"
    return None


def _hint(route: Route, state: RouteState | None) -> str:
    startable = state is not None and state.state in ("stopped", "failed", "asleep")
    return f"modelscan start {route.deployment}" if startable else "modelscan list"


def _default(file: RoutingFile, states: States) -> Iterator[Finding]:
    if file.default_provider is None or file.route(file.default_provider) is None:
        return  # the schema reports a name that does not exist
    asleep = states.get(file.default_provider)
    if asleep is not None and asleep.state == "asleep":
        return  # a request through the gateway starts it
    answer = resolve(file, None, states)
    if answer.how != "default":
        where = "routing.direct.default_provider"
        yield Finding("warning", where, answer.reasons[0], answer.hint)
