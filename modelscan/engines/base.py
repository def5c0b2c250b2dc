"""The start of an engine and its end, as values: where to listen, the command line, the failure."""

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
