"""What one change of deployments works with: settings, the open store, the clock, the events."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelscan.state.clock import now_text
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.base import Clock, Effects, Target
from modelscan.targets.events import Events, no_events
from modelscan.targets.registry import find_target

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment

FindTarget = Callable[[str, Config], Target]
Shield = Callable[[], AbstractContextManager[None]]
"""A context in which a clean-up is not interrupted; what that takes is the caller's knowledge."""


@dataclass(frozen=True, slots=True)
class Session:
    """For one operation and one thread; the store is open for as long as it is used."""

    config: Config
    store: Store
    now: Clock = now_text
    events: Events = no_events
    find: FindTarget = find_target
    shield: Shield = contextlib.nullcontext

    @property
    def routing_file(self) -> Path:
        return self.config.routing_file

    @property
    def effects(self) -> Effects:
        """What a target may do."""
        return Effects(self.save, self.events, self.now)

    def target(self, deployment: Deployment) -> Target:
        """Where it runs; raises UsageError when that target is not configured any more."""
        return self.find(deployment.target, self.config)

    def save(self, deployment: Deployment) -> None:
        """Write the row with the time of the change."""
        self.store.put(replace(deployment, updated_at=self.now()))
