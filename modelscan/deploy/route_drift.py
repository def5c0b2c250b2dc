"""Routing entries whose cluster deployment was changed, stopped or removed there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.routing.schema import Finding, RoutingFile

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.route import Route


def drifted_routes(file: RoutingFile, deployments: Sequence[Deployment]) -> tuple[Finding, ...]:
    """A warning for each such entry; ``deployments`` have the state that the servers report."""
    by_name = {deployment.name: deployment for deployment in deployments}
    findings = []
    for index, route in enumerate(file.routes):
        if route.type != "gpustack" or route.deployment is None:
            continue
        problem = _problem(route, by_name.get(route.deployment))
        if problem is not None:
            where = f"routing.direct.providers[{index}]"
            message = f"{route.name}: {problem}"
            findings.append(Finding("warning", where, message, "modelscan list"))
    return tuple(findings)


def _problem(route: Route, deployment: Deployment | None) -> str | None:
    if deployment is None:
        return f"its deployment '{route.deployment}' is not recorded on this machine"
    state = deployment.state.value
    stopped = state != "running" and deployment.reason
    if deployment.drift or deployment.health == "unknown" or stopped:
        return f"{state}: {deployment.reason or deployment.health}"
    return None
