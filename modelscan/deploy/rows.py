"""The public fields of a deployment, as a value with one JSON form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import Health, RestartPolicy, State

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """The public fields of a ``core.deployment.Deployment``. Unknown is None."""

    name: str
    model: str
    target: str
    backend: str
    quantization: str | None
    state: State
    health: Health | None
    reason: str | None
    endpoint: str | None
    served_model: str | None
    task: str
    context_tokens: int | None
    gpus: tuple[int, ...]
    port: int | None
    pid: int | None
    api_key: str | None
    route: str | None
    managed: bool
    restart: RestartPolicy | None
    restarts: int
    ttl_s: float | None
    asleep: bool
    pin: bool
    priority: int
    group: str | None
    log_path: str | None
    created_at: str
    started_at: str | None
    updated_at: str | None


@dataclass(frozen=True, slots=True)
class DeploymentList:
    """Deployments: all of them, or those that a command acted on."""

    deployments: tuple[DeploymentRow, ...]


def deployment_row(deployment: Deployment) -> DeploymentRow:
    """The public fields of a deployment."""
    values = {field.name: getattr(deployment, field.name) for field in fields(DeploymentRow)}
    return DeploymentRow(**values)


def deployment_list(deployments: Iterable[Deployment]) -> DeploymentList:
    """Rows in the given order."""
    return DeploymentList(tuple(deployment_row(one) for one in deployments))
