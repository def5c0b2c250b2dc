"""A deployment's entry in the routing file: written when it runs, disabled when it does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError, UsageError
from modelscan.core.route import Route
from modelscan.routing import file as routing_file

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment


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


def withdraw(path: Path, deployment: Deployment) -> ModelscanError | None:
    """Send nothing there any more. Returns why not: a broken file must not keep an engine alive."""
    if not deployment.route:
        return None
    try:
        routing_file.disable_route(path, deployment.route, deployment=deployment.name)
    except ModelscanError as error:
        return error
    return None


def forget(path: Path, deployment: Deployment) -> ModelscanError | None:
    """Remove the entry; returns why it is still there."""
    if not deployment.route:
        return None
    try:
        routing_file.remove_route(path, deployment.route, deployment=deployment.name)
    except ModelscanError as error:
        return error
    return None


def route_not_removed(deployment: Deployment, done: str, problem: ModelscanError) -> ModelscanError:
    """The error for an engine that is gone while its entry is not."""
    return ModelscanError(
        f"{deployment.name} is {done}, but its entry is still in the routing file: "
        f"{problem.message}",
        hint="mend the file, then: modelscan route validate",
        code="route_stays",
        details={"name": deployment.name, "route": deployment.route},
    )
