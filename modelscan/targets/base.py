"""The protocol that every target implements for the lifecycle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from modelscan.core.container import ContainerLaunch
from modelscan.core.deployment_state import Health, State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import RemoteError
from modelscan.core.evaluation import Evaluation
from modelscan.core.jsonform import Tagged
from modelscan.core.remedy import Remedy
from modelscan.state.clock import now_text
from modelscan.targets.events import Events, RequestsCut, no_events
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment, Measured
    from modelscan.core.plan import Plan, ResolvedModel

Save = Callable[["Deployment"], None]
"""Write the row. Raises ``state.store.PortTaken`` when another deployment has the port."""

Clock = Callable[[], str]
"""Now, RFC 3339 UTC."""


Controls = Literal["processes", "server", "nothing"]


@dataclass(frozen=True, slots=True)
class Effects:
    """Callbacks with which a target saves and reports while it works on one deployment."""

    save: Save
    events: Events = no_events
    now: Clock = now_text


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """The deployment to plan. ``created_at`` is the time of the first deploy with that name."""

    name: str
    subject: ResolvedModel
    request: Request
    created_at: str


@dataclass(frozen=True, slots=True)
class Observation:
    """The actual state. ``ready`` means that a starting deployment can be verified now."""

    state: State
    health: Health | None = None  # None: nothing to check
    reason: str | None = None
    cause: EndCause | None = None  # if ``state`` is stopped or failed
    ready: bool = False
    pid: int | None = None  # of the engine, if it was restarted after the row was written
    pid_started_at: float | None = None
    restarts: int = 0
    drift: tuple[str, ...] = ()  # fields changed at the target since our last change
    endpoint: str | None = None  # its current endpoint, for a target that may move
    measured: Measured | None = None  # of an engine that was restarted after the row was written


def as_recorded(deployment: Deployment) -> Observation:
    """The recorded state, for a deployment that does not run according to its row."""
    return Observation(
        deployment.state, reason=deployment.reason, cause=deployment.end_cause
    )  # fmt: skip


class Preview(Tagged):
    """What ``start`` would run or send; the subclasses are distinguished by their fields."""

    __slots__ = ()

    @classmethod
    def members(cls) -> dict[str, type[Any]]:
        """The subclasses by name."""
        return {member.__name__: member for member in cls.__subclasses__()}


@dataclass(frozen=True, slots=True)
class ProcessPreview(Preview):
    """The process that ``start`` would run. ``secrets``: variables and references to keys;
    ``install``: the command that installs the engine first; None if it is installed.

    With ``container``, ``argv`` is the runtime's command, and the variables are in ``env_file``
    while it starts.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    log_path: str | None
    install: str | None = None
    container: ContainerLaunch | None = None
    env_file: str | None = None


@dataclass(frozen=True, slots=True)
class RequestPreview(Preview):
    """The request that ``start`` would send, without keys."""

    url: str
    body: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    method: Literal["GET", "POST"] = "POST"


class StartFailed(RemoteError):
    """A failed start: ``cause``, the engine's own ``reason``, and a possible remedy.

    ``kind`` is set if the engine's error was recognised; ``tried`` is the plan that failed.
    """

    default_code = "engine_failed"

    def __init__(
        self,
        message: str,
        *,
        cause: EndCause,
        reason: str | None = None,
        kind: str | None = None,
        remedy: Remedy | None = None,
        tried: Plan | None = None,
        hint: str | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, code=code, details=details)
        self.cause = cause
        self.reason = reason or message
        self.kind = kind
        self.remedy = remedy
        self.tried = tried


class Target(Protocol):
    """One place that can run models. Every call but ``observe`` and ``logs`` runs under the
    deployment's lock.

    ``controls``: processes of this machine, models of a server that others use, too (it is changed
    only by commands that say so), or nothing (``stop`` is refused).
    """

    route_type: str
    controls: Controls

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        """Plan and describe the deployment (state pending): plan, launch, endpoint; save it. Starts
        nothing.

        Raises NotDeployableError if nothing fits.
        """
        ...

    def preview(self, deployment: Deployment) -> Preview:
        """Exactly what ``start`` would run or send, without secrets."""
        ...

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        """Start it; save the row (state starting) before any process or model can exist."""
        ...

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        """Wait until it answers a real request; set ``measured`` and ``pid`` if known.

        Raises StartFailed with the engine's own reason.
        """
        ...

    def observe(self, deployment: Deployment) -> Observation:
        """Determine the state, quickly and without changing anything.

        A row in state stopping belongs to a stop that was interrupted: the result says what runs.
        """
        ...

    def interrupt(self, deployment: Deployment) -> None:
        """End a start that another command waits for. Called without the lock."""
        ...

    def check_stop(self, deployment: Deployment) -> None:
        """Whether ``stop`` could be carried out; changes nothing.

        Raises AuthError or RemoteError where its server refuses or does not answer, UsageError
        where modelscan does not control the process.
        """
        ...

    def check_start(self, deployment: Deployment) -> None:
        """Whether ``start`` could be carried out, also while it still runs; changes nothing.

        Raises what ``start`` would raise for missing keys, files, programs or memory.
        """
        ...

    def stop(self, deployment: Deployment, *, drain_s: float) -> RequestsCut | None:
        """End it and verify that it has ended. A deployment that does not run is no error.

        Returns what was cut after ``drain_s`` seconds; None if nothing, or if that is unknown.
        """
        ...

    def remove(self, deployment: Deployment) -> None:
        """After ``stop``: delete what remains of it at the target."""
        ...

    def logs(self, deployment: Deployment, tail: int | None, follow: bool) -> Iterator[str]:
        """Lines of the engine's log, unchanged (not redacted)."""
        ...
