"""Change a cluster deployment: replicas, engine options, environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from modelscan.core.deployment import Deployment, DeployRequest
from modelscan.core.deployment_state import State
from modelscan.core.errors import ModelscanError, RemoteError, UsageError
from modelscan.core.launch import ClusterLaunch
from modelscan.deploy.reconcile import fail, finish, reconcile, unknown
from modelscan.engines.owned_options import check_parameters
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


def apply(session: Session, name: str, change: Change, timeout_s: float) -> Deployment:
    """Store the change and verify it; one that fails is taken back.

    Options and variables restart the instances, a new number of replicas does not. ``timeout_s``:
    seconds to wait until ready, also for the way back. Raises UsageError for an empty change, an
    unknown name and a deployment of this machine; RemoteError where it does not become ready, with
    the previous options running again.
    """
    row = session.store.get(name)
    if row is None:
        raise unknown(name, sorted(session.store.names()))
    if not isinstance(row.launch, ClusterLaunch):
        raise UsageError(
            f"{name} runs on this machine; update changes only cluster deployments",
            hint=f"modelscan set {name} --context 16k",
            code="not_a_cluster",
        )
    if change == Change():
        raise UsageError("no change was given", hint=f"modelscan set {name} --replicas 2")
    launch = replace(row.launch, body=changed_body(row.launch.body, change))
    row = reconcile(row, session)
    request = row.request or DeployRequest(row.model, row.target)
    request = replace(request, changed_at=session.now())  # differs from the request now
    changed = replace(row, launch=launch, request=request)
    if row.state is not State.RUNNING:
        session.save(changed)
        return changed
    session.target(row).check_start(changed)
    try:
        return _bring(session, changed, timeout_s)
    except ModelscanError as error:
        raise _taken_back(session, row, error, timeout_s) from error
    except KeyboardInterrupt:
        with session.shield():
            _taken_back(session, row, RemoteError("interrupted"), timeout_s)
        raise


def _bring(session: Session, deployment: Deployment, timeout_s: float) -> Deployment:
    """The server's model as the row says: its instances are restarted only where they must be."""
    target = session.target(deployment)
    started = target.start(deployment, session.effects)
    ready = target.wait_until_ready(started, timeout_s, session.effects)
    return finish(ready, session)


def _taken_back(
    session: Session, before: Deployment, error: ModelscanError, timeout_s: float
) -> ModelscanError:
    """Run what ran before, and return the error that says so."""
    name = before.name
    try:
        _bring(session, before, timeout_s)
    except ModelscanError as second:
        fail(before, session, second)
        text = f"; the previous options could not be restored either: {second.message}"
        hint = f"modelscan start {name}"
    else:
        text, hint = "; the previous options are running again", f"modelscan logs {name}"
    return RemoteError(
        f"{error.message}{text}", hint=hint, code=error.code,
        details={**error.details, "restored": hint.startswith("modelscan logs")},
    )  # fmt: skip


def changed_body(body: Mapping[str, Any], change: Change) -> dict[str, Any]:
    """The request body with the change applied. Pure; raises UsageError for an unknown option."""
    new = dict(body)
    if change.replicas is not None:
        new["replicas"] = change.replicas
    if change.parameters or change.dropped:
        check_parameters(change.parameters)
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
