"""Deployments that were ended because nobody used them, and bringing them back on demand."""

from __future__ import annotations

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import UsageError
from modelscan.deploy.lifecycle import Outcome, start
from modelscan.deploy.reconcile import find_deployment
from modelscan.state.config import Config
from modelscan.targets.local.readiness import IDLE
from modelscan.targets.request import Events, silent


def is_idle(deployment: Deployment) -> bool:
    """Whether it was ended by its ``--ttl`` and a request may bring it back."""
    return deployment.state is State.STOPPED and (deployment.reason or "").startswith(IDLE)


def wake(name: str, config: Config, events: Events = silent) -> Outcome:
    """Start an idle deployment for a request; one that runs stays as it is.

    Several callers at once start it once: the others wait for the deployment's lock. Raises
    UsageError for one that somebody stopped on purpose or that failed, RemoteError when it does
    not start.
    """
    found = find_deployment(name, config)
    if found.state not in (State.RUNNING, State.STARTING) and not is_idle(found):
        raise UsageError(
            f"{name} is {found.state.value}" + (f": {found.reason}" if found.reason else ""),
            hint=f"modelscan start {name}",
            code="not_idle",
        )
    limit_s = config.number("start_timeout_s")
    return start(name, config, wait=True, timeout_s=limit_s, events=events)
