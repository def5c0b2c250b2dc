"""How a deployment is started, as stored in its record: ``start`` needs no new plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from modelscan.core.container import ContainerLaunch
from modelscan.core.jsonform import Tagged
from modelscan.core.limits import NO_LIMITS, Limits

_EVERY_INTERFACE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, never bound


class Launch(Tagged):
    """The base class: one subclass per kind of target."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class LocalLaunch(Launch):
    """A process on this machine, or in a ``container``. ``argv`` contains no secret.

    ``secrets`` maps an environment variable of the engine to a reference (env:, file:). In a
    container the engine listens on every interface of the container, and ``host`` is the address
    that its port is published on.
    """

    engine: str  # a name of ``supervisor.launch.registry``
    argv: tuple[str, ...]
    embedded: bool
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    host: str
    port: int
    served_model: str
    task: str
    limits: Limits = NO_LIMITS
    container: ContainerLaunch | None = None
    kind: Literal["local"] = "local"

    @property
    def address(self) -> str:
        """The address at which a client on this machine connects."""
        return "127.0.0.1" if self.host in _EVERY_INTERFACE else self.host

    def on_port(self, port: int) -> LocalLaunch:
        """The same launch on another port."""
        argv = list(self.argv)
        argv[argv.index("--port") + 1] = str(port)
        return replace(self, argv=tuple(argv), port=port)


@dataclass(frozen=True, slots=True)
class ClusterLaunch(Launch):
    """A model of a GPUStack server.

    ``body`` is the create request (in the server's format). ``marker`` is the text in its
    description that identifies it; ``management`` the path of the server's management API, None if
    unknown.
    """

    body: Mapping[str, Any] = field(default_factory=dict)
    marker: str | None = None
    management: str | None = None
    take_over: bool = False  # whether another model of that name may be replaced
    kind: Literal["cluster"] = "cluster"


@dataclass(frozen=True, slots=True)
class OllamaLaunch(Launch):
    """A model of an Ollama server, of ``base`` (pulled by the server) or of local ``files``."""

    model: str
    base: str | None = None
    files: tuple[str, ...] = ()
    parameters: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    kind: Literal["ollama"] = "ollama"
