"""What is known of the routing file's entries on this machine: for ``route explain|match|role``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelscan.deploy.route_states import is_asleep, route_states
from modelscan.routing.catalog_facts import model_facts
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.registry_facts import registry_facts
from modelscan.routing.scoring import Runtime
from modelscan.routing.world import ProviderObservation, World

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.route import Route
    from modelscan.state.config import Config


def route_world(file: RoutingFile, config: Config, deployments: Sequence[Deployment]) -> World:
    """The observations of recorded deployments and the facts of the catalog and
    the registry. No secret is read."""
    by_name = {deployment.name: deployment for deployment in deployments}
    states = route_states(file, deployments)
    observations = {
        route.name: _observation(
            route, states[route.name].reason, by_name.get(route.deployment or "")
        )
        for route in file.routes
        if route.name in states
    }
    facts = {**model_facts(file, config.paths), **registry_facts(file, config)}
    return World(observations, facts)


def _observation(
    route: Route, reason: str | None, deployment: Deployment | None
) -> ProviderObservation:
    if deployment is None:
        return ProviderObservation(state="unknown", reason=reason)
    state, asleep = deployment.state.value, is_asleep(route, deployment)
    return ProviderObservation(
        state=state,
        reason=reason,
        ends=state in ("stopped", "failed", "stopping") and not asleep,
        asleep=asleep,
        healthy={"ok": True, "unhealthy": False}.get(deployment.health or ""),
        engine=deployment.backend,
        runtime=Runtime(loaded=state == "running"),
    )
