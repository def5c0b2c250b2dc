"""What every engine on this machine offers, and how a plan becomes a command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from modelscan.core.launch import LocalLaunch
from modelscan.core.plan import Plan
from modelscan.core.remedy import Remedy

FailureKind = Literal[
    "architecture", "code", "context", "disk", "driver", "dtype", "files", "interconnect", "memory",
    "option", "package", "port", "quantization", "split",
]  # fmt: skip


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
class Failure:
    """Why an engine did not start or ended: its own words, and what to try.

    ``kind`` is set where the words were recognised, ``remedy`` where a change may help.
    """

    reason: str
    hint: str | None = None
    port_taken: bool = False
    kind: FailureKind | None = None
    remedy: Remedy | None = None


class Engine(Protocol):
    """One module per engine; ``engines.registry`` lists them."""

    def launch(self, plan: Plan, serving: Serving) -> LocalLaunch:
        """The exact start; raises UsageError for parameters the engine does not have."""
        ...

    def check(self, launch: LocalLaunch, gpus: tuple[int, ...]) -> None:
        """Raises when the engine is not installed here, or was not built for these devices."""
        ...

    def uses_gpus(self) -> bool:
        """Whether the engine that is installed here can use a GPU at all."""
        ...

    def moved(self, launch: LocalLaunch, port: int) -> LocalLaunch:
        """The same start on another port."""
        ...

    def failure(self, log: str) -> Failure | None:
        """What the engine's log says about its end; None when it says nothing."""
        ...

    def measured(self, log: str) -> Mapping[str, Any] | None:
        """The memory that the engine says it allocated, bytes; None when it does not say."""
        ...
