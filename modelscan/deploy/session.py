"""Settings, open store, clock and event receiver of one operation on deployments."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.core.errors import UsageError
from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.base import Clock, Effects, Target
from modelscan.targets.events import Events, no_events
from modelscan.targets.registry import find_target, recorded_cluster

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

FindTarget = Callable[[str, Config], Target]
Shield = Callable[[], AbstractContextManager[None]]
"""A context in which a clean-up is not interrupted; the caller provides it."""


@dataclass(frozen=True, slots=True)
class Session:
    """For one operation in one thread, while its store is open."""

    config: Config
    store: Store
    now: Clock = now_text
    events: Events = no_events
    find: FindTarget = find_target
    shield: Shield = contextlib.nullcontext

    @property
    def routing_file(self) -> Path:
        """The file with the routes, as configured."""
        return self.config.routing_file

    @property
    def effects(self) -> Effects:
        """The operations that a target may use: save a row, send an event, read the clock."""
        return Effects(self.save, self.events, self.now)

    def target(self, deployment: Deployment) -> Target:
        """The deployment's target; raises UsageError where it is no longer configured.

        Where the list of servers cannot be read, its own record says where it is.
        """
        try:
            return self.find(deployment.target, self.config)
        except UsageError as error:
            if error.code == "unknown_target":
                raise
            recorded = recorded_cluster(deployment, self.config)
            if recorded is None:
                raise
            return recorded

    def save(self, deployment: Deployment) -> None:
        """Store the row with the present time as ``updated_at``."""
        self.store.put(replace(deployment, updated_at=self.now()))
