"""Everything that is recorded about one deployment, as ``show`` prints it."""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.core.deployment import Deployment
from modelscan.core.measurement import SpeedMeasurement
from modelscan.deploy.answers import DeploymentShown, curl_line, memory_rows, speed_rows
from modelscan.deploy.deployments import Deployments
from modelscan.deploy.reconcile import Warn, no_warnings
from modelscan.deploy.rows import deployment_row
from modelscan.state.config import Config
from modelscan.state.store import Store


def deployment_shown(name: str, config: Config, warn: Warn = no_warnings) -> DeploymentShown:
    """One deployment in its present state. Raises UsageError for an unknown name."""
    service = Deployments(config)
    return shown(service.show(name, warn), measured_speeds(config), service)


def shown(
    deployment: Deployment, speeds: Sequence[SpeedMeasurement], service: Deployments
) -> DeploymentShown:
    """A deployment with everything that belongs to it."""
    plan = deployment.plan
    return DeploymentShown(
        deployment=deployment_row(deployment),
        plan=plan,
        estimate=plan.estimate if plan else None,
        measured=deployment.measured,
        memory=memory_rows(deployment),
        speed=speed_rows(deployment, speeds),
        route=service.route_of(deployment),
        launch=service.launch_preview(deployment) if deployment.launch else None,
        curl=curl_line(deployment),
    )


def measured_speeds(config: Config) -> tuple[SpeedMeasurement, ...]:
    """What ``bench run`` measured on this machine, the oldest first."""
    with Store.look(config.paths.store_file) as store:
        return store.speeds()
