"""What every engine on this machine offers, and how a plan becomes a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from modelscan.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Serving:
    """What the plan leaves open: where to listen and under which name."""

    model_file: str
    host: str
    port: int
    served_model: str
    api_key: str | None = None  # a reference
    binary: str | None = None  # an engine program to use instead of the embedded one
    mmproj_file: str | None = None
    adapter_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine may take of the machine. ``memory_bytes``: host memory it allocates; mapped
    files and GPUs are not counted. ``nice``: 0 to 19, as the program of that name."""

    memory_bytes: int | None = None
    nice: int = 0


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Launch:
    """A start, ready to be written down and repeated. ``argv`` holds no secret.

    ``secrets`` maps a variable of the engine to a reference (env:, file:).
    """

    engine: str  # a name of ``engines.registry``
    argv: tuple[str, ...]
    embedded: bool
    env: Mapping[str, str]
    secrets: Mapping[str, str]
    host: str
    port: int
    served_model: str
    task: str
    limits: Limits = NO_LIMITS

    @property
    def address(self) -> str:
        """Where a client on this machine connects."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Launch:
        """The inverse of ``core.jsonform.to_json``."""
        limits = Limits(**value.get("limits") or {})
        return cls(**{**value, "argv": tuple(value["argv"]), "limits": limits})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine did not start or ended: its own words, and what to try.

    ``kind`` is memory | context | driver | … where the words were recognised, ``retry`` the options
    of ``deploy`` that may help.
    """

    reason: str
    hint: str | None = None
    port_taken: bool = False
    kind: str | None = None
    retry: tuple[str, ...] = ()


class Engine(Protocol):
    """One module per engine; ``engines.registry`` lists them."""

    def launch(self, plan: Plan, serving: Serving) -> Launch:
        """The exact start; raises UsageError for parameters the engine does not have."""
        ...

    def check(self, launch: Launch, gpus: tuple[int, ...]) -> None:
        """Raises when the engine is not installed here, or was not built for these devices."""
        ...

    def uses_gpus(self) -> bool:
        """Whether the engine that is installed here can use a GPU at all."""
        ...

    def moved(self, launch: Launch, port: int) -> Launch:
        """The same start on another port."""
        ...

    def failure(self, log: str) -> Failure | None:
        """What the engine's log says about its end; None when it says nothing."""
        ...

    def measured(self, log: str) -> Mapping[str, Any] | None:
        """The memory that the engine says it allocated, bytes; None when it does not say."""
        ...
