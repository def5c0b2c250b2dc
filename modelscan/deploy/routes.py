"""A deployment's entry in the routing file: written when it runs, disabled when it does not."""

from __future__ import annotations

from pathlib import Path

from modelscan.core.deployment import Deployment
from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing import file as routing_file


def route_of(deployment: Deployment, route_type: str) -> Route | None:
    """Its entry; None where none is wanted."""
    if deployment.route is None or deployment.endpoint is None:
        return None
    return Route(
        name=deployment.route,
        type=route_type,
        base_url=deployment.endpoint,
        model=deployment.model,
        served_model=deployment.served_model,
        api_key=deployment.api_key,
        context_tokens=deployment.context_tokens,
        tags=(deployment.task,) if deployment.task != "chat" else (),
        deployment=deployment.name,
    )


def check_free(path: Path, name: str) -> None:
    """Raises UsageError, before anything is started, when the entry could not be written."""
    there = routing_file.load(path).route(name)
    if there is not None and there.deployment != name:
        raise UsageError(
            f"the routing file has an entry '{name}' that is not of this deployment",
            hint=f"choose another --name, or --no-route; see modelscan route show {name}",
            code="route_conflict",
        )


def publish(path: Path, deployment: Deployment, route_type: str) -> bool:
    """Write the entry; False where none is wanted."""
    route = route_of(deployment, route_type)
    if route is None:
        return False
    routing_file.add_route(path, route)
    return True


def withdraw(path: Path, deployment: Deployment) -> None:
    """Send nothing there any more."""
    if deployment.route:
        routing_file.disable_route(path, deployment.route, deployment=deployment.name)


def forget(path: Path, deployment: Deployment) -> None:
    """Remove the entry."""
    if deployment.route:
        routing_file.remove_route(path, deployment.route, deployment=deployment.name)
