"""Value types of an engine's start and failure: address, command line, cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelscan.core.remedy import Remedy

FailureKind = Literal[
    "option", "port", "context", "memory", "driver", "disk", "quantization", "dtype",
    "architecture", "split", "code", "files", "package", "interconnect",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Serving:
    """The part of a start that the plan does not determine: the address and the model's name."""

    model_file: str
    host: str
    port: int
    served_model: str
    api_key: str | None = None  # a reference
    binary: str | None = None  # an engine program instead of the embedded one
    mmproj_file: str | None = None
    adapter_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """Why an engine did not start or ended: its own error text, and what to try.

    ``kind`` is set if the error was recognised, ``remedy`` if a change may help.
    """

    reason: str
    hint: str | None = None
    port_taken: bool = False
    kind: FailureKind | None = None
    remedy: Remedy | None = None
