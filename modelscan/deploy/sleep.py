"""Putting a deployment to sleep: its engine ends until a request through the gateway starts it.

A deployment that a user stopped does not wake; one that its time to live, a swap or ``stop
--sleep`` ended does. The caller holds the deployment's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelscan.core.deployment_state import State
from modelscan.core.end_cause import EndCause
from modelscan.deploy.lifecycle import (
    Outcome,
    end_or_restore,
    existing_row,
    refuse_uncontrolled,
    require_plan,
)
from modelscan.deploy.reconcile import HowEnded, ended_row
from modelscan.targets.local.target import LocalTarget

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.deploy.session import Session


def sleep(
    session: Session, name: str, ending: HowEnded, *, drain_s: float, only_idle: bool = False
) -> Outcome:
    """End the engine so that a request wakes it; one that a user stopped wakes from now on.

    ``only_idle``: not where requests still run or wait after ``drain_s`` seconds; then nothing has
    changed, and ``Outcome.changed`` is False. Raises like ``stop``, and UsageError for a deployment
    that was never planned.
    """
    row = existing_row(session, name)
    refuse_uncontrolled(session, row)
    require_plan(row)
    if row.asleep and row.state is State.STOPPED:
        return Outcome(row, changed=False)
    if row.state is State.STOPPED:
        asleep = ended_row(row, session, ending)
        session.store.put(asleep)
        return Outcome(asleep, changed=True)
    session.target(row).check_stop(row)
    if only_idle and _is_used(session, row, drain_s):
        return Outcome(row, changed=False)
    return Outcome(end_or_restore(session, row, drain_s, ending), changed=True)


def _is_used(session: Session, row: Deployment, drain_s: float) -> bool:
    """Whether requests run or wait at an engine of this machine, also after ``drain_s`` seconds."""
    target = session.target(row)
    return isinstance(target, LocalTarget) and target.under_way(row, drain_s) is not None


def swapped(by: str) -> HowEnded:
    """The ending of a deployment that makes room for another one."""
    return HowEnded(EndCause.SWAPPED, f"made room for {by}")


PUT_TO_SLEEP = HowEnded(EndCause.PUT_TO_SLEEP)
