"""A deployment's entry in the routing file: enabled while it runs, disabled otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.core.route import Route
from modelscan.routing import file as routing_file

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.sampling import Sampling


def route_of(deployment: Deployment, route_type: str) -> Route | None:
    """The entry; None with ``--no-route`` and without an endpoint."""
    if deployment.route is None or deployment.endpoint is None:
        return None
    return Route(
        name=deployment.route,
        type=route_type,
        base_url=deployment.endpoint,
        model=_routed_model(deployment),
        served_model=deployment.served_model,
        api_key=deployment.api_key,
        context_tokens=deployment.context_tokens,
        tags=(deployment.task,) if deployment.task != "chat" else (),
        deployment=deployment.name,
    )


def _routed_model(deployment: Deployment) -> str:
    """The model of the entry. A version of the registry with an adapter on top is not that
    version: the entry must not have the tags that the version alone was given.
    """
    from modelscan.models.from_registry import is_registered

    plan, request = deployment.plan, deployment.request
    if plan is None or request is None or not plan.adapters or request.model != deployment.model:
        return deployment.model
    return plan.repo if is_registered(deployment.model) else deployment.model


def check_free(path: Path, name: str) -> None:
    """Raises UsageError where the entry could not be written: the name belongs to another entry,
    or the file is broken. Called before a start."""
    probe = Route(name, "local", "http://127.0.0.1:1", name, deployment=name)
    routing_file.check_addable(path, probe)


def publish(
    path: Path, deployment: Deployment, route_type: str, sampling: Callable[[], Sampling | None]
) -> bool:
    """Write and enable the entry; False where ``route_of`` is None.

    A new entry gets the recommended sampling values as defaults of request bodies; those of an
    entry that exists are its owner's.
    """
    route = route_of(deployment, route_type)
    if route is None:
        return False
    known = routing_file.load(path).route(route.name) is not None
    values = None if known else sampling()
    routing_file.add_route(path, route, values.body() if values else {})
    return True


def not_published(deployment: Deployment, problem: ModelscanError) -> ModelscanError:
    """The error for a deployment that runs while its routing entry could not be written."""
    return ModelscanError(
        f"{deployment.name} is running at {deployment.endpoint}, but its routing entry was not "
        f"written: {problem.message}",
        hint="repair the file, then: modelscan list",
        code="route_missing",
        details={"name": deployment.name, "route": deployment.route},
    )


def disable(path: Path, deployment: Deployment) -> ModelscanError | None:
    """Disable the entry. Returns, not raises, the error of an invalid routing file: the engine must
    be ended all the same."""
    if not deployment.route:
        return None
    try:
        routing_file.disable_route(path, deployment.route, deployment=deployment.name)
    except ModelscanError as error:
        return error
    return None


def is_withheld(path: Path, deployment: Deployment) -> bool:
    """Whether its owner disabled the entry while it ran, so that it gets no requests."""
    if not deployment.route or not deployment.routed:
        return False
    try:
        route = routing_file.load(path).route(deployment.route)
    except ModelscanError:
        return False
    return route is not None and not route.enabled


def delete(path: Path, deployment: Deployment) -> ModelscanError | None:
    """Remove the entry; returns the error where it could not be removed."""
    if not deployment.route:
        return None
    try:
        routing_file.remove_route(path, deployment.route, deployment=deployment.name)
    except ModelscanError as error:
        return error
    return None


def route_not_removed(deployment: Deployment, done: str, problem: ModelscanError) -> ModelscanError:
    """The error for a deployment that ended while its routing entry could not be changed."""
    return ModelscanError(
        f"{deployment.name} is {done}, but its entry is still in the routing file: "
        f"{problem.message}",
        hint="repair the file, then: modelscan route validate",
        code="route_stays",
        details={"name": deployment.name, "route": deployment.route},
    )
