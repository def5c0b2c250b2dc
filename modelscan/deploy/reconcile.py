"""What is recorded against what is there: the row and the route follow reality.

Runs under the deployment's lock. ``list`` and ``show`` call it for every deployment whose lock
is free (where it is not, another command is at work and the row says what it does).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import AuthError, ModelscanError, UsageError
from modelscan.core.nearest import nearest
from modelscan.deploy import routes
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.locks import hold
from modelscan.state.store import Store, deployment_lock
from modelscan.targets.local.recover import find_lost
from modelscan.targets.registry import Observation, Target, find_target
from modelscan.targets.request import silent

_TRY_LOCK_S = 0.0
_VERIFY_S = 30.0
_OBSERVERS = 16
Warn = Callable[[str], None]


def ignore(_: str) -> None:
    """Nobody to warn."""


def list_deployments(config: Config, warn: Warn = ignore) -> tuple[Deployment, ...]:
    """Every deployment, as it really is, by name; ``warn`` is told what could not be written."""
    paths = config.paths
    if not paths.store_file.exists() and not paths.deployments_dir.exists():
        return ()
    with Store.open(paths.store_file) as store:
        rows = store.all()
        if find_lost(config, {row.name for row in rows}, store):
            rows = store.all()
        seen = _observe_all(rows, config)
        return tuple(
            refreshed(row, store, config, look, warn) for row, look in zip(rows, seen, strict=True)
        )


def _observe_all(rows: Sequence[Deployment], config: Config) -> list[Observation | None]:
    """All at once: one that hangs costs its time limit only once."""
    looks = [functools.partial(_look, row, config) for row in rows]
    if len(looks) < 2:
        return [look() for look in looks]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(looks), _OBSERVERS)) as pool:
        return list(pool.map(lambda look: look(), looks))


def _look(row: Deployment, config: Config) -> Observation | None:
    try:
        return find_target(row.target, config).observe(row)
    except UsageError:
        return None  # ``refreshed`` says why


def refreshed(
    row: Deployment,
    store: Store,
    config: Config,
    seen: Observation | None = None,
    warn: Warn = ignore,
) -> Deployment:
    """The row after a look at reality; as it is while another command works on it.

    A routing file that cannot be changed does not hide the truth: it is told to ``warn``.
    """
    try:
        target = find_target(row.target, config)
    except UsageError as error:  # its server was taken out of the list of targets
        warn(f"{row.name}: {error.message}")
        return replace(row, health="unknown")
    seen = seen or target.observe(row)
    if _agrees(row, seen):
        return _as_seen(row, seen)
    lock = deployment_lock(config.paths.locks_dir, row.name)
    try:
        with hold(lock, timeout_s=_TRY_LOCK_S):
            again = store.get(row.name)
            if again is None:
                return row
            now = reconcile(again, target, store, config.routing_file)
            if not _route_agrees(now):
                warn(f"{now.name} is {now.state.value}, but the routing file could not be changed")
            return now
    except ModelscanError as error:
        if error.code == "locked":
            return _as_seen(row, seen)
        warn(f"{row.name}: {error.message}")
        return replace(row, state=seen.state, health=seen.health, reason=seen.reason)


def _as_seen(row: Deployment, seen: Observation) -> Deployment:
    """The row with what only a look can tell; none of it is written down."""
    return replace(
        row, health=seen.health, drift=seen.drift, reason=seen.reason or row.reason,
        restarts=max(row.restarts, seen.restarts),
    )  # fmt: skip


def _agrees(row: Deployment, seen: Observation) -> bool:
    """Nothing to write: the usual case, which takes no lock."""
    state, ready = seen.state, seen.ready
    if seen.pid not in (None, row.pid) or seen.endpoint not in (None, row.endpoint):
        return False
    settled = row.state in (State.RUNNING, State.STARTING, State.STOPPED, State.FAILED)
    return settled and state is row.state and not ready and _route_agrees(row)


def _route_agrees(row: Deployment) -> bool:
    """The entry is written and enabled just while it runs."""
    return row.route is None or row.routed is (row.state is State.RUNNING)


def reconcile(
    deployment: Deployment, target: Target, store: Store, routing_file: Path
) -> Deployment:
    """Make row and route agree with what is there; the caller holds the lock."""
    if deployment.state in (State.PENDING, State.DOWNLOADING):
        fetching = deployment.state is State.DOWNLOADING
        doing = "while its weights were fetched" if fetching else "before the engine started"
        reason = f"it was interrupted {doing}"
        return fail(deployment, target, store, routing_file, reason)
    if deployment.state is State.STOPPING:
        return end(deployment, target, store, routing_file)
    seen = target.observe(deployment)
    deployment = replace(deployment, restarts=max(deployment.restarts, seen.restarts))
    if seen.state is State.FAILED and deployment.state is not State.FAILED:
        return fail(deployment, target, store, routing_file, seen.reason)
    if seen.state is State.STOPPED and deployment.state is not State.STOPPED:
        return end(deployment, target, store, routing_file, seen.reason)
    if seen.ready:
        return _catch_up(deployment, target, store, routing_file)
    if deployment.state is State.RUNNING and seen.pid not in (None, deployment.pid):
        deployment = replace(deployment, pid=seen.pid, pid_started_at=seen.pid_started_at)
        store.put(deployment)  # its supervisor started it again
    if deployment.state is State.RUNNING and seen.endpoint not in (None, deployment.endpoint):
        deployment = replace(deployment, endpoint=seen.endpoint, routed=False)
        store.put(deployment)  # its server has another address now
    return _as_seen(_with_route(deployment, target, store, routing_file), seen)


def _with_route(
    deployment: Deployment, target: Target, store: Store, routing_file: Path
) -> Deployment:
    """Write or withdraw what an earlier command could not; a file that is still broken waits."""
    if deployment.state is State.RUNNING and deployment.route and not deployment.routed:
        with contextlib.suppress(ModelscanError):
            return finish(deployment, target, store, routing_file)
    over = deployment.state in (State.STOPPED, State.FAILED)
    if over and deployment.routed and routes.withdraw(routing_file, deployment) is None:
        deployment = replace(deployment, routed=False)
        store.put(deployment)
    return deployment


def finish(deployment: Deployment, target: Target, store: Store, routing_file: Path) -> Deployment:
    """It runs: write that down, then its route, then that the route is written."""
    store.put(deployment)
    if routes.publish(routing_file, deployment, target.route_type):
        deployment = replace(deployment, routed=True)
        store.put(deployment)
    return deployment


def reason_of(error: ModelscanError) -> str:
    """What the row keeps of a failure: the engine's own words, without the name before them."""
    return str(error.details.get("reason") or error.message)


def _catch_up(
    deployment: Deployment, target: Target, store: Store, routing_file: Path
) -> Deployment:
    """The engine is ready, and the command that waited for it is gone (or did not wait)."""
    try:
        running = target.settle(deployment, store.put, _VERIFY_S, silent)
    except AuthError:
        return deployment  # its key is not here; whoever has it will verify it
    except ModelscanError as error:
        return fail(deployment, target, store, routing_file, reason_of(error))
    store.put(running)
    return _with_route(running, target, store, routing_file)


def fail(
    deployment: Deployment, target: Target, store: Store, routing_file: Path, reason: str | None
) -> Deployment:
    """Nothing is left behind but the row that says why."""
    return _over(deployment, State.FAILED, target, store, routing_file, reason)


def end(
    deployment: Deployment,
    target: Target,
    store: Store,
    routing_file: Path,
    reason: str | None = None,
    *,
    drain_s: float = 0,
) -> Deployment:
    """Route first, then the process, then the row; each step can be repeated."""
    return _over(deployment, State.STOPPED, target, store, routing_file, reason, drain_s)


def _over(
    deployment: Deployment,
    state: State,
    target: Target,
    store: Store,
    routing_file: Path,
    reason: str | None,
    drain_s: float = 0,
) -> Deployment:
    problem = routes.withdraw(routing_file, deployment)
    target.stop(deployment, drain_s=drain_s)
    ended = replace(stopped(deployment), state=state, reason=reason, routed=problem is not None)
    store.put(ended)
    return ended


def stopped(deployment: Deployment) -> Deployment:
    """The row of a deployment that runs no more."""
    return replace(
        deployment, state=State.STOPPED, reason=None, health=None, routed=False, pid=None,
        pid_started_at=None, updated_at=now_text(),
    )  # fmt: skip


def recorded(name: str, config: Config) -> Deployment:
    """The row as it is, without a look at reality; raises UsageError for an unknown name."""
    if not config.paths.store_file.exists():
        raise unknown(name, ())
    with Store.open(config.paths.store_file) as store:
        row = store.get(name)
        if row is None:
            raise unknown(name, [one.name for one in store.all()])
        return row


def find_deployment(name: str, config: Config, warn: Warn = ignore) -> Deployment:
    """The deployment as it really is; raises UsageError for an unknown name."""
    row = recorded(name, config)
    with Store.open(config.paths.store_file) as store:
        return refreshed(row, store, config, warn=warn)


def unknown(name: str, names: Sequence[str]) -> UsageError:
    """There is no such deployment; the nearest name as a hint."""
    near = nearest(name, names)
    return UsageError(
        f"there is no deployment '{name}'",
        hint=f"modelscan show {near[0]}" if near else "modelscan list",
        code="unknown_deployment",
        details={"nearest": near},
    )
