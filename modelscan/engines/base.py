"""Value types of an engine's start and failure: address, command line, cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from modelscan.core.remedy import Remedy

FailureKind = Literal[
    "option", "port", "context", "memory", "driver", "build", "kernel", "shared_memory", "disk",
    "quantization", "dtype", "architecture", "split", "code", "files", "package", "interconnect",
    "hub", "permission", "timeout", "crash",
]  # fmt: skip
KINDS: Mapping[FailureKind, str] = {
    "option": "An option that this version does not have, or that contradicts another one.",
    "port": "The port that it should listen on is in use; retried on another one.",
    "context": "The context is longer than the cache holds, or than the model allows.",
    "memory": "Memory ran out: weights, activations, CUDA graphs or slots.",
    "driver": "The GPU's driver is missing, too old or not loaded, or shows no such GPU.",
    "build": "The build has no code for this GPU or processor, or is older than the model's file.",
    "kernel": "A kernel needs more of the GPU's on-chip memory than it has.",
    "shared_memory": "The memory that processes of one engine share (/dev/shm) is full.",
    "disk": "A disk is full.",
    "quantization": "The engine does not support this quantization on this GPU.",
    "dtype": "The GPU or the quantization does not support this data type.",
    "architecture": "This version does not know the model's architecture.",
    "split": "The model cannot be divided over this number of GPUs.",
    "code": "The repository wants to run its own code.",
    "files": "The files are missing, damaged or incomplete.",
    "package": "A package or a compiler of the engine's environment is missing.",
    "interconnect": "The GPUs cannot communicate.",
    "hub": "The hub refuses the repository, does not have it, or cannot be reached.",
    "permission": "The user may not open a file, a device or a port.",
    "timeout": "A part of the engine was not ready in time.",
    "crash": "The engine's own code crashed.",
}


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

    ``kind`` is set if the error was recognised, ``remedy`` if a change may help. ``port_taken``:
    the engine's own port, or ``port`` where the log names it. ``line``: its number in the log.
    """

    reason: str
    hint: str | None = None
    port_taken: bool = False
    kind: FailureKind | None = None
    remedy: Remedy | None = None
    port: int | None = None
    line: int | None = None
