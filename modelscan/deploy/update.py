"""Change a deployment on a cluster: replicas, engine options, variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.deployment import Deployment, DeployRequest
from modelscan.core.deployment_state import State
from modelscan.core.errors import UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.deploy.reconcile import finish, reconcile, unknown
from modelscan.deploy.session import Session
from modelscan.targets.gpustack.body import check_env, pairs


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; nothing else changes."""

    replicas: int | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    dropped: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """``restart``: the change only counts for new instances, so those that run must end first."""

    deployment: Deployment
    restart: bool


def apply(session: Session, name: str, change: Change, timeout_s: float) -> Changed:
    """Write the change down; another number of replicas takes nothing down and is carried out.

    Raises UsageError for a deployment of this machine.
    """
    if change == Change():
        raise UsageError("nothing was to be changed", hint=f"modelscan update {name} --replicas 2")
    row = session.store.get(name)
    if row is None:
        raise unknown(name, sorted(session.store.names()))
    if not isinstance(row.launch, ClusterLaunch):
        raise UsageError(
            f"{name} runs on this machine: only deployments of a cluster can be updated",
            hint=f"modelscan deploy {row.model} --name {name} --replace, with other options",
            code="not_a_cluster",
        )
    launch = replace(row.launch, body=changed_body(row.launch.body, change))
    row = reconcile(row, session)
    request = row.request or DeployRequest(row.model, row.target)
    request = replace(request, changed_at=session.now())  # no longer what was asked
    wanted = replace(row, launch=launch, request=request)
    session.save(wanted)
    if row.state is not State.RUNNING:
        return Changed(wanted, restart=False)
    if change.parameters or change.dropped or change.env:
        return Changed(wanted, restart=True)
    target = session.target(wanted)
    started = target.start(wanted, session.effects)
    settled = target.wait_until_ready(started, timeout_s, session.effects)
    return Changed(finish(settled, session), restart=False)


def changed_body(body: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The body with the change in it. Pure."""
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
                raise UsageError(f"--{key} is not among its options: {' '.join(options) or 'none'}")
            del options[key.replace("_", "-")]
        new["backend_parameters"] = [f"--{k}" if v is None else f"--{k}={v}"
                                     for k, v in options.items()]  # fmt: skip
    if change.env:
        new["env"] = {**(body.get("env") or {}), **check_env(change.env)}
    return new
