"""What a routing table is made from, read from disk: secrets and recorded deployments."""

from __future__ import annotations

from collections.abc import Mapping

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.core.route import Route
from modelscan.deploy.route_states import is_asleep
from modelscan.net.address import stays_here
from modelscan.routing.catalog_facts import model_facts
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.plano import with_plano
from modelscan.routing.presets import key_references
from modelscan.routing.registry_facts import registry_facts
from modelscan.routing.world import ProviderObservation, RouteModelFacts, World
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.state.store import Store

_ENDED = ("stopped", "failed", "stopping")


def resolved_secrets(
    file: RoutingFile, deployments: Mapping[str, Deployment]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The secrets by their reference, and a sentence for each entry whose secret is missing.

    Those of entries that requests may reach, or wake.
    """
    values: dict[str, str] = {}
    missing: list[str] = []
    for route in file.routes:
        faults = []
        for reference in key_references(route) if _is_reached(route, deployments) else ():
            try:
                values[reference] = values.get(reference) or resolve(reference)
                break
            except ModelscanError as error:
                faults.append(error.message)
        else:
            missing += [f"{route.name}: {fault}" for fault in faults[:1]]
    return values, tuple(missing)


def _is_reached(route: Route, deployments: Mapping[str, Deployment]) -> bool:
    row = deployments.get(route.deployment or "")
    return route.enabled or (row is not None and is_asleep(route, row))


def recorded_deployments(config: Config) -> dict[str, Deployment]:
    """The deployments by name, as recorded; none where the records cannot be read."""
    try:
        with Store.look(config.paths.store_file) as store:
            return {one.name: one for one in store.all()}
    except ModelscanError:
        return {}


def recorded(
    route: Route,
    deployments: Mapping[str, Deployment],
    secrets: Mapping[str, str],
    *,
    offline: bool,
) -> ProviderObservation:
    """What is recorded of an entry. One whose key is missing gets no request: its server's refusal
    would look like one of the caller's key; with ``offline``, other machines get none.
    """
    references = key_references(route)
    if references and not any(one in secrets for one in references):
        return ProviderObservation(
            reason=f"its key is missing ({' or '.join(references)})", ends=True
        )
    if offline and route.base_url and not stays_here(route.base_url):
        return ProviderObservation(reason="--offline is set", ends=True)
    deployment = deployments.get(route.deployment or "")
    if deployment is None:
        return ProviderObservation()
    state, asleep = deployment.state.value, is_asleep(route, deployment)
    return ProviderObservation(
        state, deployment.reason, ends=state in _ENDED and not asleep, asleep=asleep,
        engine=deployment.backend,
    )  # fmt: skip


def routing_world(config: Config, file: RoutingFile) -> World:
    """What is recorded of every entry, the catalog's facts, and the secrets of the file."""
    file = with_plano(file)
    deployments = recorded_deployments(config)
    secrets, _ = resolved_secrets(file, deployments)
    observations = {
        one.name: recorded(one, deployments, secrets, offline=config.offline) for one in file.routes
    }
    facts = {**catalog_facts(config, file), **registry_facts(file, config)}
    return World(observations, facts, secrets)


def catalog_facts(config: Config, file: RoutingFile) -> dict[str, RouteModelFacts]:
    """What the catalog says of the file's models; nothing where it cannot be read."""
    try:
        return model_facts(file, config.paths)
    except ModelscanError:
        return {}
