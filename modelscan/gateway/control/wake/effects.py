"""What the scheduler's decisions do: starts, ends and looks, by the service that owns deployments.

All calls block, for seconds or minutes; the waker runs them in threads that do not keep the
process alive: an engine that is starting goes on without it, and its record says so.
"""

from __future__ import annotations

from typing import Protocol

from modelscan.core.deployment import Deployment
from modelscan.core.errors import ModelscanError
from modelscan.deploy.deployments import Deployments
from modelscan.state.config import Config
from modelscan.state.store import Store
from modelscan.targets.local.room import MemoryNow, memory_now

DRAIN_S = 2.0
"""Seconds in which requests of other clients of an engine may end; else it is not ended now."""


class WakeEffects(Protocol):
    """The waker's hands; tests have their own."""

    def start(self, name: str) -> None:
        """Start a deployment and wait until it answers. Raises ModelscanError."""

    def sleep(self, name: str, by: str) -> bool:
        """End a deployment for another one; False: requests of other clients run there."""

    def look(self, name: str) -> Deployment:
        """Compare the record with what runs, and correct it. Raises ModelscanError."""

    def stamp(self) -> int:
        """Differs after any change of the records."""

    def memory(self) -> MemoryNow:
        """The memory of this machine now."""


class DeploymentEffects:
    """See ``WakeEffects``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._deployments = Deployments(config)

    def start(self, name: str) -> None:
        self._deployments.wake(name)

    def sleep(self, name: str, by: str) -> bool:
        return self._deployments.sleep(name, by=by, drain_s=DRAIN_S, only_idle=True).changed

    def look(self, name: str) -> Deployment:
        return self._deployments.show(name)

    def stamp(self) -> int:
        try:
            with Store.look(self._config.paths.store_file) as store:
                return store.stamp()
        except ModelscanError:
            return 0

    def memory(self) -> MemoryNow:
        try:
            with Store.look(self._config.paths.store_file) as store:
                return memory_now(self._config, store)
        except ModelscanError:
            return MemoryNow({}, {}, {}, {})
