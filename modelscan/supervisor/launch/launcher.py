"""What starts an engine on this machine: find its program, make the start, check it."""

from __future__ import annotations

from typing import Protocol

from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving


class Launcher(Protocol):
    """One per engine that this machine can start; ``launch.registry`` lists them."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        """The exact start; raises UsageError for parameters the engine does not have."""
        ...

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        """Raises when the engine is not installed here, or was not built for these devices."""
        ...

    def uses_gpus(self) -> bool:
        """Whether the engine that is installed here can use a GPU at all."""
        ...
