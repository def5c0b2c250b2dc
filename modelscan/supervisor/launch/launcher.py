"""The interface of an engine's launcher: find its program, build the command, check it."""

from __future__ import annotations

from typing import Protocol

from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.engines.base import Serving


class Launcher(Protocol):
    """One per engine that this machine can start; ``launch.registry`` lists them."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        """The exact command. Raises UsageError for parameters the engine does not have."""
        ...

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        """Raises ModelscanError if the engine is not installed or was not built for these
        devices.
        """
        ...

    def uses_gpus(self) -> bool:
        """Whether the installed engine can use a GPU."""
        ...
