"""What a routing table is made from, read from disk: secrets and recorded deployments."""

from __future__ import annotations

from collections.abc import Mapping

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.core.route import Route
from modelscan.net.address import stays_here
from modelscan.routing.facts import key_references
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import Observation, World
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.state.store import Store

_ENDED = ("stopped", "failed", "stopping")


def resolved_secrets(file: RoutingFile) -> tuple[dict[str, str], tuple[str, ...]]:
    """The secrets by their reference, and a sentence for each entry whose secret is missing."""
    values: dict[str, str] = {}
    missing: list[str] = []
    for route in file.routes:
        faults = []
        for reference in key_references(route) if route.enabled else ():
            try:
                values[reference] = values.get(reference) or resolve(reference)
                break
            except ModelscanError as error:
                faults.append(error.message)
        else:
            missing += [f"{route.name}: {fault}" for fault in faults[:1]]
    return values, tuple(missing)


def recorded_deployments(config: Config) -> dict[str, Deployment]:
    """The deployments by name, as recorded; none where the records cannot be read."""
    try:
        with Store.look(config.paths.store_file) as store:
            return {one.name: one for one in store.all()}
    except ModelscanError:
        return {}


def recorded(route: Route, deployments: Mapping[str, Deployment], *, offline: bool) -> Observation:
    """What is recorded of an entry; with ``offline``, other machines get no request."""
    if offline and route.base_url and not stays_here(route.base_url):
        return Observation("not reached", "--offline is set", ends=True)
    deployment = deployments.get(route.deployment or "")
    if deployment is None:
        return Observation()
    state = deployment.state.value
    return Observation(state, deployment.reason, ends=state in _ENDED, engine=deployment.backend)


def routing_world(config: Config, file: RoutingFile) -> World:
    """What is recorded of every entry, with the secrets that the file refers to."""
    deployments = recorded_deployments(config)
    observations = {
        one.name: recorded(one, deployments, offline=config.offline) for one in file.routes
    }
    return World(observations, secrets=resolved_secrets(file)[0])
