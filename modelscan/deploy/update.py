"""Change a deployment on a cluster: replicas, engine options, variables; then verify it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import UsageError
from modelscan.deploy.lifecycle import start, stop
from modelscan.deploy.reconcile import finish, reconcile, unknown
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.store import Store, deployment_lock
from modelscan.targets.gpustack.body import check_env, pairs
from modelscan.targets.registry import find_target
from modelscan.targets.request import silent


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; nothing else changes."""

    replicas: int | None = None
    parameters: tuple[tuple[str, str | None], ...] = ()
    dropped: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


def update(name: str, change: Change, config: Config, *, timeout_s: float) -> Deployment:
    """Apply a change and wait until what is wanted runs and answers.

    Another number of replicas takes nothing down. Other options or variables only count for new
    instances, so those that run are ended first, with the route disabled meanwhile. Raises
    UsageError for a deployment of this machine.
    """
    if change == Change():
        raise UsageError("nothing was to be changed", hint=f"modelscan update {name} --replicas 2")
    with (
        hold(deployment_lock(config.paths.locks_dir, name), what=f"deployment {name}"),
        Store.open(config.paths.store_file) as store,
    ):
        row = store.get(name)
        if row is None:
            raise unknown(name, [one.name for one in store.all()])
        if row.target == "local":
            raise UsageError(
                f"{name} runs on this machine: only deployments of a cluster can be updated",
                hint=f"modelscan deploy {row.model} --name {name} --force, with other options",
                code="not_a_cluster",
            )
        target = find_target(row.target, config)
        row = reconcile(row, target, store, config.routing_file)
        launch = dict(row.launch or {})
        launch["body"] = changed_body(launch.get("body") or {}, change)
        request = {**(row.request or {}), "updated_at": now_text()}  # no longer what was asked
        wanted = replace(row, launch=launch, request=request, updated_at=now_text())
        scaled_only = not (change.parameters or change.dropped or change.env)
        store.put(wanted)
        if row.state is not State.RUNNING:
            return wanted
        if scaled_only:
            started = target.start(wanted, store.put)
            settled = target.settle(started, store.put, timeout_s, silent)
            return finish(settled, target, store, config.routing_file)
    stop(name, config, drain_s=0)
    return start(name, config, wait=True, timeout_s=timeout_s, events=silent).deployment


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
