"""``set`` and ``upgrade``: a deployment with other options or newer weights, or as it was before.

The new plan is made while the old engine runs. Where the new engine does not become ready, the
previous one is started again, so that a failed change never leaves less than there was.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.deployment_state import ACTIVE_STATES, State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import ModelscanError, NotDeployableError, RemoteError, UsageError
from modelscan.core.launch import LocalLaunch
from modelscan.deploy import lifecycle
from modelscan.deploy.lifecycle import Outcome
from modelscan.deploy.reconcile import end, stopped
from modelscan.targets.base import NewDeployment, Target
from modelscan.targets.request import Request, repeated

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.session import Session
    from modelscan.state.config import Config


def request_of(row: Deployment) -> Request:
    """The request that made the deployment, to be changed and repeated.

    Raises UsageError for a deployment that modelscan did not plan on this machine.
    """
    if row.request is None or not isinstance(row.launch, LocalLaunch):
        raise UsageError(
            f"{row.name} was not planned by modelscan for this machine",
            hint=f"modelscan deploy {row.model} --name {row.name} --replace",
            code="not_planned",
        )
    return repeated(row.request, row.name)


def apply(session: Session, target: Target, new: NewDeployment, *, force: bool = False) -> Outcome:
    """Plan the changed request, restart, verify; on a failure the previous engine runs again.

    A stopped deployment is only planned. ``force``: also where the request is the same. Raises the
    error of the new plan or engine, which then says what became of the previous one.
    """
    previous = lifecycle.existing_row(session, new.name)
    if not force and new.request.is_like(previous.request):
        return Outcome(previous, changed=False)
    if not force and new.request.shares_differently(previous.request):
        return Outcome(lifecycle.with_swap_policy(session, previous, new.request), changed=True)
    new = replace(new, created_at=previous.created_at)
    if previous.state not in ACTIVE_STATES:
        return Outcome(_stored(session, target, new, previous), changed=True)
    try:
        return lifecycle.replace_running(session, target, new, previous)
    except KeyboardInterrupt:
        with session.shield():
            _restore(session, previous, new.request.timeout_s)
        raise
    except ModelscanError as error:
        error.message += _restore(session, previous, new.request.timeout_s)
        raise


def _stored(
    session: Session, target: Target, new: NewDeployment, previous: Deployment
) -> Deployment:
    """The new plan of a stopped deployment, for its next start."""
    try:
        proposed = target.propose(new, session.effects)
    except ModelscanError:
        session.save(previous)
        raise
    row = stopped(proposed, session)
    if previous.asleep:
        slept = previous.state is State.STOPPED
        cause = previous.end_cause if slept else EndCause.PUT_TO_SLEEP
        row = replace(
            row, wakes=True, end_cause=cause, reason=previous.reason if slept else None
        )  # fmt: skip
    session.save(row)
    return row


def _restore(session: Session, previous: Deployment, timeout_s: float) -> str:
    """Start the previous engine again where it was ended; returns what became of it, as text."""
    row = session.store.get(previous.name)
    if row is not None and row.state is State.RUNNING and row.run_id == previous.run_id:
        return f"; {previous.name} runs unchanged"
    if row is not None:
        with contextlib.suppress(ModelscanError):
            end(row, session)
    session.save(stopped(previous, session))
    try:
        lifecycle.start(session, previous.name, wait=True, timeout_s=timeout_s)
    except ModelscanError as error:
        return f"; the previous engine did not start again either: {error.message}"
    return f"; {previous.name} runs again as before"


def fetch_newest(row: Deployment, config: Config) -> str | None:
    """Download the newest weights of the deployment's repository while the engine runs.

    Returns the new revision; None where the pulled one is the newest. Raises UsageError where the
    weights do not come from a hub or the request names a revision, RemoteError where the hub does
    not answer.
    """
    from modelscan.core.reference import parse_reference
    from modelscan.deploy.cached import newest_of
    from modelscan.hub.downloads.pull import is_remote, pull
    from modelscan.models.from_registry import is_registered

    request, plan = request_of(row), row.plan
    if plan is None or not is_remote(plan):
        place = plan.repo if plan else "its model"
        raise UsageError(
            f"{row.name} runs {place}, which comes from no hub: there is nothing to upgrade from",
            hint=f"modelscan restart {row.name}",
            code="not_from_a_hub",
        )
    if parse_reference(request.model).revision or is_registered(request.model):
        raise UsageError(
            f"{row.name} was deployed with a fixed revision: {request.model}",
            hint=f"modelscan deploy {request.model.partition('@')[0]} --name {row.name} --replace",
            code="pinned",
        )
    found = newest_of(plan.source, plan.repo, plan.revision, config)
    if found.status == "unknown":
        raise RemoteError(f"cannot compare {plan.repo} with its hub: {found.detail}")
    if found.status == "current":
        return None
    try:
        return pull(replace(plan, revision=None), config).revision
    except NotDeployableError as error:
        raise ModelscanError(f"the new revision cannot be used: {error.message}") from error
