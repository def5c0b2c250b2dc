"""What a routing table is made from, read from disk: secrets and recorded deployments."""

from __future__ import annotations

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.routing.schema import RoutingFile
from modelscan.routing.world import Observation
from modelscan.state.config import Config
from modelscan.state.secrets import resolve
from modelscan.state.store import Store

_ENDED = ("stopped", "failed", "stopping")


def resolved_secrets(file: RoutingFile) -> tuple[dict[str, str], tuple[str, ...]]:
    """The secrets by their reference, and a sentence for each entry whose secret is missing."""
    values: dict[str, str] = {}
    missing: list[str] = []
    for route in file.routes:
        if route.api_key and route.enabled and route.api_key not in values:
            try:
                values[route.api_key] = resolve(route.api_key)
            except ModelscanError as error:
                missing.append(f"{route.name}: {error.message}")
    return values, tuple(missing)


def recorded_deployments(config: Config) -> dict[str, Deployment]:
    """The deployments by name, as recorded; none where the records cannot be read."""
    try:
        with Store.look(config.paths.store_file) as store:
            return {one.name: one for one in store.all()}
    except ModelscanError:
        return {}


def recorded(deployment: Deployment | None) -> Observation:
    """What is recorded of an entry's deployment; nothing for a server that is not a deployment."""
    if deployment is None:
        return Observation()
    state = deployment.state.value
    return Observation(
        state=state,
        reason=deployment.reason,
        ends=state in _ENDED,
        engine=deployment.backend,
    )
