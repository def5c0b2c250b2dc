"""Where deployments run. A target is a module and a line in ``TARGETS``; the lifecycle is one.

``local`` is this machine. A cluster target gets the same calls and keeps what it needs to know
(ids, raw state) in ``Deployment.remote``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelscan.core.deployment import Deployment, State
from modelscan.core.errors import UsageError
from modelscan.core.plan import Subject
from modelscan.engines import ollama
from modelscan.state.config import Config
from modelscan.targets.request import Events, Request, silent

Save = Callable[[Deployment], None]
"""Write the row. Raises ``state.store.PortTaken`` when another deployment has the port."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What is really there. ``ready`` means that a starting deployment can be verified now."""

    state: State
    health: str | None = None  # ok | unhealthy | None: nothing to ask
    reason: str | None = None
    ready: bool = False
    pid: int | None = None  # of the engine, where it was started anew since the row was written
    pid_started_at: float | None = None
    restarts: int = 0
    drift: tuple[str, ...] = ()  # fields changed at the target by somebody else
    endpoint: str | None = None  # where it is now, for a target that may move


class Target(Protocol):
    """One place that can run models. Every call but ``observe`` and ``logs`` runs under the
    deployment's lock."""

    route_type: str

    def propose(
        self,
        name: str,
        subject: Subject,
        request: Request,
        save: Save,
        now: str,
        events: Events = silent,
    ) -> Deployment:
        """Decide and describe (state pending): plan, launch, endpoint; ``save`` it. Starts nothing.

        Raises NotDeployableError when nothing fits.
        """
        ...

    def preview(self, deployment: Deployment) -> Mapping[str, Any]:
        """Exactly what ``start`` would run or send, without secrets."""
        ...

    def start(self, deployment: Deployment, save: Save) -> Deployment:
        """Begin; ``save`` the row (state starting) before anything can come to life."""
        ...

    def settle(
        self, deployment: Deployment, save: Save, timeout_s: float, events: Events
    ) -> Deployment:
        """Wait until it answers a real request; with ``measured`` and ``pid`` where known.

        Raises RemoteError with the engine's own reason.
        """
        ...

    def observe(self, deployment: Deployment) -> Observation:
        """Look, quickly, and change nothing."""
        ...

    def interrupt(self, deployment: Deployment) -> None:
        """End a start that another command waits for. Called without the lock."""
        ...

    def stop(self, deployment: Deployment, *, drain_s: float) -> None:
        """End it and verify that it is gone. Ending what does not run is no error."""
        ...

    def remove(self, deployment: Deployment) -> None:
        """After ``stop``: delete what is left of it at the target."""
        ...

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        """Lines of the engine's log, as they are (not redacted)."""
        ...


TARGETS = {
    "local": "modelscan.targets.local.target:LocalTarget",
    ollama.NAME: "modelscan.targets.ollama.target:OllamaTarget",
    "found": "modelscan.deploy.discover:FoundTarget",
}


def resolve_target(wanted: str | None, config: Config) -> str:
    """The target's name for ``--target`` (or the setting ``target``).

    ``auto`` is the default cluster if one is configured, else this machine; ``gpustack`` is the
    default cluster and nothing else.
    """
    name = wanted or config.text("target")
    if name not in ("auto", "gpustack"):
        return name
    from modelscan.state.targets import load

    default = load(config.paths).default
    if default is None and name == "gpustack":
        raise UsageError(
            "no GPUStack server is configured",
            hint="modelscan target add NAME URL --key env:GPUSTACK_API_KEY",
            code="no_target",
        )
    return default or "local"


def find_target(name: str, config: Config) -> Target:
    """The target of that name; raises UsageError for an unknown one."""
    entry = TARGETS.get(name)
    if entry is None:
        return _cluster(name, config)
    module, _, attribute = entry.partition(":")
    target: Target = getattr(importlib.import_module(module), attribute)(config)
    return target


def _cluster(name: str, config: Config) -> Target:
    """A configured GPUStack server."""
    from modelscan.state.targets import load
    from modelscan.targets.gpustack.target import GpuStackTarget

    return GpuStackTarget(config, load(config.paths).find(name))
