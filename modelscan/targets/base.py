"""What every target offers to the lifecycle, and what the lifecycle gives it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from modelscan.core.deployment_state import Health, State
from modelscan.core.end_cause import EndCause
from modelscan.core.errors import RemoteError
from modelscan.core.evaluation import Evaluation
from modelscan.core.jsonform import Tagged
from modelscan.core.remedy import Remedy
from modelscan.state.clock import now_text
from modelscan.targets.events import Events, no_events
from modelscan.targets.request import Request

if TYPE_CHECKING:
    from modelscan.core.deployment import Deployment
    from modelscan.core.plan import Plan, ResolvedModel

Save = Callable[["Deployment"], None]
"""Write the row. Raises ``state.store.PortTaken`` when another deployment has the port."""

Clock = Callable[[], str]
"""Now, RFC 3339 UTC."""


@dataclass(frozen=True, slots=True)
class Effects:
    """How a target acts on the outside while it works for one deployment."""

    save: Save
    events: Events = no_events
    now: Clock = now_text


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """What is to be planned. ``created_at`` is of the first deploy under that name."""

    name: str
    subject: ResolvedModel
    request: Request
    created_at: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What is really there. ``ready`` means that a starting deployment can be verified now."""

    state: State
    health: Health | None = None  # None: nothing to ask
    reason: str | None = None
    cause: EndCause | None = None  # where ``state`` is stopped or failed
    ready: bool = False
    pid: int | None = None  # of the engine, where it was restarted after the row was written
    pid_started_at: float | None = None
    restarts: int = 0
    drift: tuple[str, ...] = ()  # fields changed at the target since our last change
    endpoint: str | None = None  # where it is now, for a target that may move


def as_recorded(deployment: Deployment) -> Observation:
    """For a deployment that is not running by its row: there is nothing to look at."""
    return Observation(
        deployment.state, reason=deployment.reason, cause=deployment.end_cause
    )  # fmt: skip


class Preview(Tagged):
    """What ``start`` would run or send, told apart by its fields."""

    __slots__ = ()

    @classmethod
    def members(cls) -> dict[str, type[Any]]:
        """The dataclasses of the family by name."""
        return {member.__name__: member for member in cls.__subclasses__()}


@dataclass(frozen=True, slots=True)
class ProcessPreview(Preview):
    """The process that ``start`` would run. ``secrets``: variables and the references of keys."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    log_path: str | None


@dataclass(frozen=True, slots=True)
class RequestPreview(Preview):
    """The request that ``start`` would send, without keys."""

    url: str
    body: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Evaluation | None = None
    method: Literal["GET", "POST"] = "POST"


class StartFailed(RemoteError):
    """A start that came to nothing: ``cause``, the engine's own ``reason``, and what may help.

    ``kind`` is set where the engine's words were recognised; ``tried`` is the plan that failed.
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
    deployment's lock."""

    route_type: str

    def propose(self, new: NewDeployment, effects: Effects) -> Deployment:
        """Decide and describe (state pending): plan, launch, endpoint; save it. Starts nothing.

        Raises NotDeployableError when nothing fits.
        """
        ...

    def preview(self, deployment: Deployment) -> Preview:
        """Exactly what ``start`` would run or send, without secrets."""
        ...

    def start(self, deployment: Deployment, effects: Effects) -> Deployment:
        """Begin; save the row (state starting) before anything can come to life."""
        ...

    def wait_until_ready(
        self, deployment: Deployment, timeout_s: float, effects: Effects
    ) -> Deployment:
        """Wait until it answers a real request; with ``measured`` and ``pid`` where known.

        Raises StartFailed with the engine's own reason.
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
