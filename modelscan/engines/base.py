"""The start of an engine and its end, as values: where to listen, the command line, the failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from modelscan.engines.remedy import Remedy

FailureKind = Literal[
    "option", "port", "context", "memory", "driver", "disk", "quantization", "dtype",
    "architecture", "split", "code", "files", "package", "interconnect",
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

    def on_port(self, port: int) -> Launch:
        """The same start on another port."""
        argv = list(self.argv)
        argv[argv.index("--port") + 1] = str(port)
        return replace(self, argv=tuple(argv), port=port)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Launch:
        """The inverse of ``core.jsonform.to_json``."""
        limits = Limits(**value.get("limits") or {})
        return cls(**{**value, "argv": tuple(value["argv"]), "limits": limits})


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an engine did not start or ended: its own words, and what to try.

    ``kind`` where the words were recognised.
    """

    reason: str
    hint: str | None = None
    port_taken: bool = False
    kind: FailureKind | None = None
    remedy: Remedy | None = None

    @property
    def retry(self) -> tuple[str, ...]:
        """The remedy as options of ``deploy``; () without one."""
        return self.remedy.options() if self.remedy else ()
