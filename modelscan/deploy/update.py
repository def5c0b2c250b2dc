"""Change a cluster deployment: replicas, engine options, environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelscan.core.deployment import Deployment, DeployRequest
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.deploy.reconcile import finish, reconcile, unknown
from modelscan.targets.gpustack.body import check_env, pairs

if TYPE_CHECKING:
    from modelscan.deploy.session import Session


@dataclass(frozen=True, slots=True)
class Change:
    """The fields to change; a field with its default stays as it is."""

    replicas: int | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    dropped: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """``restart``: only new instances have the change, so the running ones must be restarted."""

    deployment: Deployment
    restart: bool


def apply(session: Session, name: str, change: Change, timeout_s: float) -> Changed:
    """Store the change; a new number of replicas is applied at once, without a restart.

    ``timeout_s``: seconds to wait until ready. Raises UsageError for an empty change, an unknown
    name and a deployment of this machine.
    """
    if change == Change():
        raise UsageError("no change was given", hint=f"modelscan set {name} --replicas 2")
    row = session.store.get(name)
    if row is None:
        raise unknown(name, sorted(session.store.names()))
    if not isinstance(row.launch, ClusterLaunch):
        raise UsageError(
            f"{name} runs on this machine; update changes only cluster deployments",
            hint=f"modelscan deploy {row.model} --name {name} --replace, with other options",
            code="not_a_cluster",
        )
    launch = replace(row.launch, body=changed_body(row.launch.body, change))
    row = reconcile(row, session)
    request = row.request or DeployRequest(row.model, row.target)
    request = replace(request, changed_at=session.now())  # differs from the request now
    changed = replace(row, launch=launch, request=request)
    session.save(changed)
    if row.state is not State.RUNNING:
        return Changed(changed, restart=False)
    if change.parameters or change.dropped or change.env:
        return Changed(changed, restart=True)
    target = session.target(changed)
    started = target.start(changed, session.effects)
    ready = target.wait_until_ready(started, timeout_s, session.effects)
    return Changed(finish(ready, session), restart=False)


def changed_body(body: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The request body with the change applied. Pure; raises UsageError for an unknown option."""
    new = dict(body)
    if change.replicas is not None:
        new["replicas"] = change.replicas
    if change.parameters or change.dropped:
        options = dict(pairs(body.get("backend_parameters") or ()))
        for key, value in change.parameters:
            options.pop(key.replace("_", "-"), None)
            options[key.replace("_", "-")] = value
        for key in change.dropped:
            if key.replace("_", "-") not in options:
                raise UsageError(
                    f"--{key} is not an option of the deployment: {' '.join(options) or 'none'}"
                )
            del options[key.replace("_", "-")]
        new["backend_parameters"] = [f"--{k}" if v is None else f"--{k}={v}"
                                     for k, v in options.items()]  # fmt: skip
    if change.env:
        new["env"] = {**(body.get("env") or {}), **check_env(change.env)}
    return new
